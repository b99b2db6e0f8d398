"""What can be wrong or strange about a message: the closed set of kinds, and their sums by peer, type and second.

A sum is told when its second of event time is over, with the first event of a later one, so that it does not depend on batches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from peerwatch.peers.states import RULES
from peerwatch.peers.stretch import Arrivals, Output, Stretch
from peerwatch.schema.batch import SECOND, Array
from peerwatch.schema.tables.weird import Weird
from peerwatch.stats.grouping import group
from peerwatch.wire.dissector import WireError
from peerwatch.wire.raw import OTHER

HEAD = 32
"""Bytes kept of the first message of a sum."""

PEER_SUMS = 32
"""Sums of one second, peer and direction. What comes beyond is added up by kind only, as type `*other*`: peers make up types."""

SUMS = 4096
"""Sums of one second. What comes beyond is added up by direction and kind only, as peer -1 and type `*other*`."""

NOBODY = -1
"""Peer of sums beyond that bound."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of `weird`: what it means, as a sentence, and where it is defined."""

    name: str
    meaning: str
    source: str


_OTHERS = (
    Kind("unknown_type", "A message of a type that no BIP and no version of Core knows.", 'Core: "Unknown command"'),
    Kind(
        "sendcmpct_version",
        "A version of compact blocks that does not exist; 1 and 2 do.",
        "BIP 152; Core: CMPCTBLOCKS_VERSION, ignores others than 2",
    ),
    Kind("feefilter_range", "A fee rate that is negative or above all money.", "Core: MoneyRange, ignores the message; BIP 133"),
    Kind(
        "sendtxrcncl_version",
        "Version 0 of transaction reconciliation, which does not exist.",
        "BIP 330; Core, node/txreconciliation.cpp: PROTOCOL_VIOLATION, disconnects",
    ),
    Kind("filter_type", "A type of compact block filter that does not exist; 0, basic, does.", "BIP 158"),
    Kind(
        "headers_not_continuous",
        "A header does not follow on the one before it.",
        'Core: "non-continuous headers sequence", misbehaving',
    ),
    Kind("inventory_kind", "An inventory type that does not exist.", 'Core: "Unknown inv type"; protocol.h: GetDataMsg'),
    Kind("protocol_obsolete", "A protocol version below 31800.", "Core: MIN_PEER_PROTO_VERSION, disconnects"),
    Kind(
        "self_connection",
        "A version with a nonce that the node itself has just sent: it connected to itself, or somebody repeats it.",
        'Core: CheckIncomingNonce, "connected to self", disconnects',
    ),
    Kind("user_agent_empty", "A version without a user agent.", "BIP 14"),
    Kind("user_agent_unprintable", "A user agent with other characters than printable ASCII.", "BIP 14; Core: SanitizeString"),
    Kind(
        "clock_offset",
        "The clock of the sender of a version is more than 70 minutes off.",
        "Core before v27, timedata.h: DEFAULT_MAX_TIME_ADJUSTMENT",
    ),
    Kind("pong_unsolicited", "A pong while no ping is unanswered.", 'Core: "Unsolicited pong without ping"; BIP 31'),
    Kind("pong_nonce", "A pong with another nonce than that of any unanswered ping.", 'Core: "Nonce mismatch"; BIP 31'),
    Kind(
        "blocktxn_unrequested",
        "A blocktxn that no getblocktxn asked for.",
        'Core: "Peer sent us block transactions for block we weren\'t expecting"; BIP 152',
    ),
    Kind(
        "getblocktxn_unannounced",
        "A getblocktxn for a block of which no cmpctblock was sent to the one who asks.",
        "BIP 152: only after a cmpctblock for that block",
    ),
    Kind(
        "notfound_unrequested",
        "A notfound for a transaction that was not asked for.",
        "Core, node/txdownloadman: ReceivedNotFound",
    ),
    Kind(
        "tx_unrequested",
        "A transaction that was not asked for. Wallets do that with their own.",
        "Core: processed nevertheless; transactions are announced, asked for and then sent",
    ),
    Kind(
        "requested_unannounced",
        "The peer asks by wtxid for a transaction that the node never announced to it.",
        "Core: FindTxForGetData, answers with notfound where it entered the mempool after the last inv",
    ),
    Kind(
        "requested_unannounced_txid",
        "The peer asks by txid for a transaction that the node never announced to it; honest when it is the parent of an orphan.",
        "Core: as requested_unannounced; node/txdownloadman: orphans' parents are asked for by txid",
    ),
)


def all_kinds() -> list[Kind]:
    """Every kind of the table `weird`: errors of the wire, rules of states, and the rest; none twice."""
    errors = [Kind(e.name.lower(), e.meaning, e.source) for e in WireError if e is not WireError.NONE]
    return [*errors, *(Kind(r.kind, r.meaning, r.source) for r in RULES), *_OTHERS]


KINDS = {kind.name: code for code, kind in enumerate(all_kinds())}
"""Code of each kind."""

_NAMES = list(KINDS)

Sum = dict[str, Any]
"""Columns of a row of `weird`, but for its ts and seq."""


class Weirds:
    """Sums of the present second."""

    def __init__(self) -> None:
        """Start without any."""
        self._found: list[tuple[int, Array]] = []
        self._sums: dict[tuple[int, bool, str, str], Sum] = {}
        self._of_peer: Counter[tuple[int, bool]] = Counter()
        self._second = 0

    def add(self, kind: str, rows: Array) -> None:
        """Messages (indices of rows of the chunk's `message` table) are of this kind, each once."""
        if len(rows):
            self._found.append((KINDS[kind], rows))

    def close(self, stretch: Stretch, out: Output) -> None:
        """All of a stretch was added: sum it up, and tell the sums of seconds that are over."""
        if self._found:
            self._errors_and_rules(stretch, out)
        self.tell(stretch.second_after(self._second), out)

    def _errors_and_rules(self, stretch: Stretch, out: Output) -> None:
        arrivals = stretch.arrivals
        kind = np.concatenate([np.full(len(rows), code) for code, rows in self._found])
        row = np.concatenate([rows for _, rows in self._found])
        self._found = []
        order = np.lexsort((kind, row))
        kind, row = kind[order], row[order]
        messages = arrivals.messages()
        second = arrivals.now[arrivals.of["message"][row]] // SECOND
        codes, names = arrivals.types()
        key = kind
        for part in (codes[row].astype(np.int64), messages["inbound"][row].astype(np.int64), messages["peer"][row], second):
            index = group(part)[1].astype(np.int64)
            key = group(index * (int(key.max()) + 1) + key)[1]
        _, first, counts = np.unique(key, return_index=True, return_counts=True)
        for at in np.argsort(first).tolist():
            i = int(first[at])
            if second[i] != self._second:
                self.tell(stretch.second_after(self._second), out)
                self._second = int(second[i])
            self._count(arrivals, int(row[i]), (names[codes[row[i]]], _NAMES[kind[i]]), int(counts[at]))

    def _count(self, arrivals: Arrivals, row: int, what: tuple[str, str], count: int) -> None:
        messages = arrivals.messages()
        peer, inbound = int(messages["peer"][row]), bool(messages["inbound"][row])
        key = (peer, inbound, *what)
        if key not in self._sums and self._of_peer[peer, inbound] >= PEER_SUMS:
            key = (peer, inbound, OTHER, what[1])
        if key not in self._sums:
            if len(self._sums) >= SUMS:
                key = (NOBODY, inbound, OTHER, what[1])
            if key not in self._sums:
                self._of_peer[key[0], inbound] += 1
                ts, seq, size = (int(messages[name][row]) for name in ("ts", "seq", "size"))
                names = dict(zip(("peer", "inbound", "type", "kind"), key, strict=True))
                first = {"first_ts": ts, "first": seq, "count": 0, "size": size, "head": arrivals.head(row, HEAD)}
                self._sums[key] = names | first
        self._sums[key]["count"] += count

    def tell(self, event: int | None, out: Output) -> None:
        """The present second is over with this event, if there is one."""
        if event is not None and self._sums:
            for each in self._drain():
                out.add(Weird, event, each)

    def _drain(self) -> Iterator[Sum]:
        yield from sorted(self._sums.values(), key=lambda s: s["first"])
        self._sums = {}
        self._of_peer.clear()

    def finish(self, out: Output) -> None:
        """There will be no more of the present second."""
        self.tell(0, out)

    def forget_before(self, second: int) -> None:
        """Forget sums of another second than this one: they may have been told."""
        if second != self._second:
            self._sums = {}

    def state(self) -> dict[str, Any]:
        """Everything, as JSON-able values."""
        sums = [{**s, "head": None if s["head"] is None else s["head"].hex()} for s in self._sums.values()]
        return {"second": self._second, "sums": sums}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state()`."""
        self._second = int(state["second"])
        self._sums = {}
        for each in state["sums"]:
            head = None if each["head"] is None else bytes.fromhex(each["head"])
            self._sums[each["peer"], each["inbound"], each["type"], each["kind"]] = {**each, "head": head}
        self._of_peer = Counter((peer, inbound) for peer, inbound, _, _ in self._sums)
