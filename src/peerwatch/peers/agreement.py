"""Whether what was seen of a node agrees with what the node itself counts.

`getpeerinfo` has the bytes of every message type with every peer. What tracepoints, a capture or the log show of the same peer
must come to the same: what the node counted and a source did not see was lost, silently until here. This finds losses that
nothing else tells, such as ring buffers of the wrong size (peer-observer, pull request 491).

The two are never looked at in the same instant, so they are compared across polls: what the node had counted at one poll must
have been seen some polls later, and what was seen of a peer's messages before a poll must be in it. What went on before both were
watching counts for neither; where it cannot be told exactly, the benefit of the doubt is given. What the node sends is counted
when the peer takes it, which can be late by any time, so only too little of that is told, never too much.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from peerwatch.peers.witness import V2_SPARE, Key, Seen, Witness
from peerwatch.schema.batch import Rows
from peerwatch.schema.table import Identity
from peerwatch.schema.tables.loss import Loss
from peerwatch.wire.raw import printable

OTHER = "*other*"
"""What the node counts together of what it received: types it does not know, and messages it could not read. Never compared."""

GRACE = 3
"""Polls until what the node counted must have been seen: while it is busy, messages wait in its queue."""

SOURCE = "agreement"
"""Source of the rows."""

OWN_IDS = ("capture",)
"""Sources that number peers by themselves."""

MISSPELL = ("debuglog",)
"""Sources that do not have types as they were sent: `<ping>` is `ping` in a log, so a peer can let it say too much of any."""


class Poll(NamedTuple):
    """One look at both: time in ns UTC, bytes by the node's figures, and what was seen."""

    ts: int
    counted: dict[Key, int]
    seen: Seen


class Gap(NamedTuple):
    """Bytes by which the node counted more than was seen, or less if negative, and the time concerned."""

    key: Key
    first_ts: int
    missing: int


@dataclass(slots=True)
class Comparison:
    """One witness against the node, poll by poll."""

    polls: deque[Poll] = field(default_factory=lambda: deque(maxlen=GRACE))
    """The last ones, oldest first."""
    base: dict[Key, tuple[int, int]] = field(default_factory=dict)
    """Least and most bytes that the node had counted before the witness watched; told differences are added."""
    met: set[int] = field(default_factory=set)
    """Peers of earlier polls."""

    def judge(self, poll: Poll) -> Iterator[Gap]:
        """Take one poll."""
        before = self.polls[-1].seen.wire if self.polls else {}
        present = {peer for peer, _, _ in poll.counted}
        self.base = {key: span for key, span in self.base.items() if key[0] in present}
        for key, count in poll.counted.items():
            if key not in self.base:
                begun = key[0] in poll.seen.whole or key[0] in self.met
                # Nothing says how much of it the witness has still to tell: a log is read a second late.
                self.base[key] = (0, 0 if begun else max(0, count - before.get(key, 0)))
        self.met = present
        yield from self._unseen(poll)
        if self.polls:
            yield from self._uncounted(poll, self.polls[-1])
        self.polls.append(poll)

    def _unseen(self, poll: Poll) -> Iterator[Gap]:
        """What the node counted some polls ago and the witness has not seen until now."""
        if len(self.polls) < GRACE:
            return
        oldest = self.polls[0]
        for key, count in oldest.counted.items():
            if key in poll.counted:
                least, most = self.base[key]
                missing = count - most - poll.seen.wire.get(key, 0)
                if missing > 0:
                    self.base[key] = (least + missing, most + missing)
                    # Of `most`, all but `least` may be missing, too: so much may make it a multiple.
                    named = -(-missing // V2_SPARE)
                    if named * V2_SPARE - missing > most - least or named > poll.seen.nameable.get(key, 0):
                        yield Gap(key, oldest.ts, missing)

    def _uncounted(self, poll: Poll, last: Poll) -> Iterator[Gap]:
        """What the witness saw of a peer's messages before the last poll was over, and the node has not counted in this one."""
        for key, seen in last.seen.wire.items():
            if key[1] and key in poll.counted:
                least, most = self.base[key]
                extra = seen + least - poll.counted[key]
                if extra > 0:
                    self.base[key] = (least - extra, most - extra)
                    yield Gap(key, last.ts, -extra)


class Agreement:
    """All sources of one node against its own figures. Rows go in chunk by chunk, and out come `loss` rows."""

    def __init__(self, node: str) -> None:
        """Nothing is known yet."""
        self.node = node
        self._session: int | None = None
        """Session of the source that asks the node; None before its first answer."""
        self._counted: dict[Key, int] = {}
        self._ids: dict[str, int] = {}
        """The node's ids of its peers now, by address."""
        self._transport: dict[int, str] = {}
        """v1 or v2, by such an id."""
        self._witnesses: dict[str, tuple[Witness, Comparison]] = {}
        self._seq = 0

    def feed(self, identity: Identity, tables: Mapping[str, pa.RecordBatch]) -> tuple[Identity, pa.RecordBatch] | None:
        """Take the rows of one chunk. Returns whose the rows are that tell of disagreement, and these."""
        if "peer_state" in tables and tables["peer_state"].num_rows:
            self._peers(identity, Rows(tables["peer_state"]))
        if "peer_traffic" in tables and tables["peer_traffic"].num_rows and identity.session == self._session:
            return self._poll(identity, Rows(tables["peer_traffic"]))
        if self._session is not None and tables.keys() & {"message", "log_traffic", "connection"}:
            known = self._witnesses.get(identity.source)
            if known is None or known[0].session != identity.session:
                known = Witness(identity.session, own_ids=identity.source in OWN_IDS), Comparison()
                self._witnesses[identity.source] = known
            known[0].update(tables)
        return None

    def _peers(self, identity: Identity, peers: Rows) -> None:
        if identity.session != self._session:
            # The node was restarted: its peers have other ids now, and it counts from zero.
            self._session, self._seq = identity.session, 0
            self._counted.clear()
            self._witnesses = {source: (witness, Comparison()) for source, (witness, _) in self._witnesses.items()}
        newest = peers["ts"] == peers["ts"].max()
        ids, addresses, transports = (peers[name][newest].tolist() for name in ("peer", "address", "transport"))
        self._ids = dict(zip(addresses, ids, strict=True))
        self._transport = {peer: t for peer, t in zip(ids, transports, strict=True) if t in ("v1", "v2")}

    def _poll(self, identity: Identity, traffic: Rows) -> tuple[Identity, pa.RecordBatch] | None:
        for peer, inbound, kind, count in zip(*(traffic[n].tolist() for n in ("peer", "inbound", "type", "bytes")), strict=True):
            self._counted[peer, inbound, kind] = count
        present = set(self._ids.values())
        self._counted = {key: count for key, count in self._counted.items() if key[0] in present}
        rows = list(self._rows(int(traffic["ts"].max())))
        if not rows:
            return None
        told = Identity(self.node, identity.session, SOURCE)
        seq = np.arange(self._seq, self._seq + len(rows))
        self._seq += len(rows)
        return told, Loss.build(told, {"seq": seq, **{name: [row[name] for row in rows] for name in rows[0]}})

    def _rows(self, ts: int) -> Iterator[dict[str, Any]]:
        for source, (witness, comparison) in self._witnesses.items():
            seen = witness.seen(self._transport, self._ids)
            told_of = {peer for peer, _, _ in seen.wire}
            counted = {key: n for key, n in self._counted.items() if key[0] in told_of and key[2] != OTHER}
            for (peer, inbound, kind), first_ts, missing in comparison.judge(Poll(ts, counted, seen)):
                if missing < 0 and source in MISSPELL:
                    continue
                what = f"{printable(kind.encode())} {'received from' if inbound else 'sent to'} peer {peer}"
                more = "more" if missing > 0 else "fewer"
                reason = f"Of {what} the node counted {abs(missing)} bytes {more} than {source} saw."
                yield {
                    "kind": "disagreement", "probe": source, "ts": ts, "first_ts": first_ts, "last_ts": ts,
                    "count": 0, "bytes": abs(missing), "reason": reason,
                }  # fmt: skip
