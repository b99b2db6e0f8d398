"""Requests that the protocol answers, and their answers: one row of `exchange` each; and answers that nobody asked for.

Blocks asked for by `getdata` are in blocks.py, transactions in relay.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from peerwatch.peers.matcher import Matcher
from peerwatch.peers.requests import Answers, Ended, Requests, Why, keys
from peerwatch.peers.roster import Roster
from peerwatch.peers.states import FAR, TYPE, UNKNOWN
from peerwatch.peers.stretch import Messages, Output, Stretch
from peerwatch.peers.weirds import Weirds
from peerwatch.schema.batch import SECOND, Array
from peerwatch.schema.tables.exchange import Exchange
from peerwatch.stats.grouping import group

_SPAN = 40
"""Bits for the events of a stretch."""

WAITING = 1 << 12
"""Requests of each side that are waited for; with so many newer ones the oldest is forgotten."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A kind of request: the types that answer it, how long is waited for one, and whose figure that is.

    Those without answers are told apart by more than their type (nonce, block), and found in the rows of their tables.
    """

    name: str
    answers: tuple[str, ...]
    limit_s: int
    source: str


ASKED = (
    Asked("ping", (), 20 * 60, "Core: TIMEOUT_INTERVAL"),
    Asked("getaddr", ("addr", "addrv2"), 10 * 60, "Core sends within some AVG_ADDRESS_BROADCAST_INTERVAL, 30 s; 20 times that"),
    Asked("getheaders", ("headers",), 2 * 60, "Core: HEADERS_RESPONSE_TIME"),
    Asked("getblocktxn", (), 10 * 60, "Core: BLOCK_DOWNLOAD_TIMEOUT_BASE, one block interval"),
    Asked("getcfilters", ("cfilter",), 10 * 60, "as for a block; Core never asks"),
    Asked("getcfheaders", ("cfheaders",), 10 * 60, "as for a block; Core never asks"),
    Asked("getcfcheckpt", ("cfcheckpt",), 10 * 60, "as for a block; Core never asks"),
    Asked("mempool", ("inv",), 10 * 60, "Core sends with its next inv, after some 5 s; as for addresses"),
    Asked("block", (), 10 * 60, "Core: BLOCK_DOWNLOAD_TIMEOUT_BASE, one block interval"),
)
"""All kinds of request."""

KIND = {asked.name: code for code, asked in enumerate(ASKED)}
NAMES = {"kind": [a.name for a in ASKED], "outcome": ["answered", "unanswered", "superseded", "closed"]}
"""What the codes in rows of `exchange` mean."""

LIMIT = np.array([asked.limit_s * SECOND for asked in ASKED])
_SALT = np.arange(1, len(ASKED) + 1, dtype=np.uint64) << np.uint64(48)
"""Sets the items of different kinds apart."""


_ANSWERED_BY_TYPE = np.array([bool(asked.answers) for asked in ASKED])


def _by_type() -> tuple[Array, Array, Array]:
    asks = np.full(UNKNOWN + 1, -1, np.int64)
    bits = np.zeros(UNKNOWN + 1, np.int64)
    kind = np.zeros(UNKNOWN + 1, np.int64)
    for code, asked in enumerate(ASKED):
        if asked.answers:
            asks[TYPE[asked.name]] = code
        for name in asked.answers:
            bits[TYPE[name]], kind[TYPE[name]] = 1 << code, code
    return asks, bits, kind


_ASKS, _ANSWER_BIT, _ANSWERS = _by_type()
"""For each type code: the kind of request that it is, or -1; the bit of the kind that it answers, or 0; and that kind."""


class Exchanges:
    """All requests but those of `getdata`."""

    def __init__(self, roster: Roster) -> None:
        """Start without any."""
        self._roster = roster
        self._matcher = Matcher(WAITING, LIMIT)

    @property
    def forgotten(self) -> int:
        """Requests forgotten because so many came after them."""
        return self._matcher.forgotten

    def take(self, stretch: Stretch, messages: Messages, ends: Mapping[int, int], weirds: Weirds, out: Output) -> None:
        """Take the messages of a stretch, and the connections that ended in it (peer to ordinal)."""
        found = [*self._by_type(stretch, messages), *self._pings(stretch), *self._block_transactions(stretch)]
        requests = Requests.joined([part for part, _ in found])
        answers = _Answering.joined([part for _, part in found])
        unasked = np.ones(len(answers.ordinal), bool)
        parts = []
        for ended, lost in self._matcher.run(stretch, requests, Answers(answers.key, answers.ordinal), ends):
            unasked[ended.answer[ended.answer >= 0]] = False
            if len(ended.why):
                parts.append(ended)
                tell(stretch, ended, out)
                gone = np.isin(ended.why, (Why.UNANSWERED, Why.FORGOTTEN))
                self._forget(ended.requests.peer[gone], ended.requests.kind[gone], ended.at[gone])
            self._forget(*lost)
        if unasked.any() and self._roster.any_whole:
            self._unasked(stretch, answers.ordinal[unasked & (answers.kind == KIND["getblocktxn"])], weirds)
            self._pongs(stretch, parts, answers.ordinal[unasked & (answers.kind == KIND["ping"])], weirds)
        if parts:
            self._note_waiting(parts)

    def _by_type(self, stretch: Stretch, messages: Messages) -> list[tuple[Requests, _Answering]]:
        """Requests and answers that their type alone tells."""
        waiting = self._roster.conn["waiting"]
        asks = np.flatnonzero(_ASKS[messages.code] >= 0)
        if len(asks):
            np.bitwise_or.at(waiting, (messages.slot[asks], messages.side[asks]), 1 << _ASKS[messages.code[asks]])
        elif not waiting.any():
            return []
        bits = _ANSWER_BIT[messages.code]
        may = np.flatnonzero(bits)
        may = may[(waiting[messages.slot[may], 1 - messages.side[may]] & bits[may]) > 0]
        if not len(asks) and not len(may):
            return []
        peers = self._roster.conn["key"]
        kind = _ASKS[messages.code[asks]]
        some = messages.take(asks)
        made = _requests(stretch, (some.ordinal, peers[some.slot], some.side), kind, _SALT[kind])
        kind = _ANSWERS[messages.code[may]]
        some = messages.take(may)
        return [(made, _Answering(some.ordinal, kind, keys(peers[some.slot], 1 - some.side, _SALT[kind])))]

    def _pings(self, stretch: Stretch) -> list[tuple[Requests, _Answering]]:
        rows = stretch.rows("ping", "peer", "inbound", "pong", "nonce")
        if rows is None:
            return []
        ordinals, nonce = stretch.ordinals("ping"), rows["nonce"]
        known = stretch.slots_of(ordinals) >= 0
        if rows.batch.column("nonce").null_count:
            known &= rows.valid("nonce")
        return [
            _split(
                stretch,
                (ordinals, rows["peer"], rows["inbound"]),
                nonce,
                KIND["ping"],
                (known & ~rows["pong"], known & rows["pong"]),
            )
        ]

    def _block_transactions(self, stretch: Stretch) -> list[tuple[Requests, _Answering]]:
        rows = stretch.rows("block_relay", "peer", "inbound", "message", "hash")
        if rows is None:
            return []
        asks, answers = rows.where("message", "getblocktxn"), rows.where("message", "blocktxn")
        if not asks.any() and not answers.any():
            return []
        ordinals = stretch.ordinals("block_relay")
        known = stretch.slots_of(ordinals) >= 0
        item = np.ascontiguousarray(rows["hash"]).view("<u8")[:, 0]
        return [
            _split(stretch, (ordinals, rows["peer"], rows["inbound"]), item, KIND["getblocktxn"], (known & asks, known & answers))
        ]

    def _forget(self, peers: Array, kinds: Array, ordinals: Array) -> None:
        """Requests of these kinds are not waited for any more, from these ordinals on."""
        for kind, memory in (("ping", "pings"), ("getblocktxn", "block_transactions")):
            mine = kinds == KIND[kind]
            self._roster.forget(peers[mine], ordinals[mine], memory)

    def _unasked(self, stretch: Stretch, ordinals: Array, weirds: Weirds) -> None:
        """Judge the `blocktxn` that answer nothing."""
        if len(ordinals):
            sure = self._roster.remembered(stretch, ordinals, "block_transactions")
            weirds.add("blocktxn_unrequested", stretch.arrivals.row_of(ordinals[sure] - stretch.arrivals.base))

    def _pongs(self, stretch: Stretch, ended: list[Ended], pongs: Array, weirds: Weirds) -> None:
        """Judge the `pong`s that answer nothing, by whether other pings of that connection are unanswered."""
        pongs = pongs[self._roster.remembered(stretch, pongs, "pings")]
        if not len(pongs):
            return
        asked = [self._matcher.waiting(), *(e.requests for e in ended)]
        peer, side, kind, begun = (
            np.concatenate([getattr(r, name) for r in asked]) for name in ("peer", "side", "kind", "ordinal")
        )
        ended_at = np.concatenate([np.full(len(asked[0]), FAR), *(e.at for e in ended)])
        pings = np.flatnonzero(kind == KIND["ping"])
        rows = stretch.arrivals.row_of(pongs - stretch.arrivals.base)
        messages = stretch.arrivals.messages()
        theirs = messages["peer"][rows] * 2 + 1 - messages["inbound"][rows]
        _, who = group(np.concatenate([theirs, peer[pings] * 2 + side[pings]]))

        def before(who: Array, ordinals: Array) -> Array:
            """How many of these ordinals come before each pong, of the same connection and side."""
            first = stretch.start - 1
            events = np.sort(who << _SPAN | np.clip(ordinals - first, 0, (1 << _SPAN) - 1))
            mine = who_pongs << _SPAN
            return np.asarray(np.searchsorted(events, mine | (pongs - first)) - np.searchsorted(events, mine))

        who_pongs, who_pings = who[: len(pongs)], who[len(pongs) :]
        outstanding = before(who_pings, begun[pings]) > before(who_pings, ended_at[pings])
        weirds.add("pong_nonce", rows[outstanding])
        weirds.add("pong_unsolicited", rows[~outstanding])

    def _note_waiting(self, ended: list[Ended]) -> None:
        """Keep up to date which connections wait for what, when something ended."""
        if not any(_ANSWERED_BY_TYPE[part.requests.kind].any() for part in ended):
            return
        self._roster.conn["waiting"][:] = 0
        waiting = self._matcher.waiting()
        slots = self._roster.slots_of(waiting.peer)
        kept = (slots >= 0) & _ANSWERED_BY_TYPE[waiting.kind]
        np.bitwise_or.at(self._roster.conn["waiting"], (slots[kept], waiting.side[kept]), 1 << waiting.kind[kept])

    def close_all(self, stretch: Stretch, ordinal: int, out: Output) -> None:
        """The node is gone, and with it every connection."""
        waiting = self._matcher.drop_all()
        tell(stretch, Ended(waiting, np.full(len(waiting), Why.CLOSED), np.full(len(waiting), ordinal), np.zeros(0)), out)

    def forget_all(self) -> None:
        """Times mean nothing any more: stop waiting."""
        self._matcher.forgotten += len(self._matcher.drop_all())

    def state(self) -> dict[str, Any]:
        """Everything, as JSON-able values."""
        return self._matcher.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state()`."""
        self._matcher.restore(state)


@dataclass(frozen=True, slots=True)
class _Answering:
    """Possible answers: their ordinals, the kind of request, and its key."""

    ordinal: Array
    kind: Array
    key: Array

    @classmethod
    def joined(cls, parts: list[_Answering]) -> _Answering:
        """All of them, by ordinal."""
        if not parts:
            return cls(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.uint64))
        ordinal, kind, key = (np.concatenate([getattr(p, f) for p in parts]) for f in ("ordinal", "kind", "key"))
        order = np.argsort(ordinal, kind="stable")
        return cls(ordinal[order], kind[order], key[order])


def _requests(stretch: Stretch, who: tuple[Array, Array, Array], kind: Array, item: Array) -> Requests:
    """Requests of `who` (ordinal, peer, side)."""
    ordinal, peer, side = who
    arrivals, event = stretch.arrivals, ordinal - stretch.arrivals.base
    key = keys(peer, side, item)
    return Requests(key, ordinal, arrivals.events[event], arrivals.seq(event), peer, side, kind, arrivals.now[event])


def _split(
    stretch: Stretch, who: tuple[Array, Array, Array], item: Array, kind: int, which: tuple[Array, Array]
) -> tuple[Requests, _Answering]:
    """Rows of a table as requests and answers; `who` has ordinal, peer and inbound, `which` the masks of the two."""
    ordinal, peer, inbound = who
    asks, answers = (np.flatnonzero(mask) for mask in which)
    side, item = inbound.astype(np.int64), item ^ _SALT[kind]
    made = _requests(stretch, (ordinal[asks], peer[asks], side[asks]), np.full(len(asks), kind), item[asks])
    key = keys(peer[answers], 1 - side[answers], item[answers])
    return made, _Answering(ordinal[answers], np.full(len(answers), kind), key)


def tell(stretch: Stretch, ended: Ended, out: Output) -> None:
    """Rows of `exchange` for requests that ended, but for those forgotten."""
    told = np.flatnonzero(ended.why != Why.FORGOTTEN)
    if not len(told):
        return
    requests, at = ended.requests.take(told), ended.at[told]
    order = np.lexsort((requests.kind, requests.ordinal, at))
    requests, event = requests.take(order), at[order] - stretch.arrivals.base
    columns = {
        "peer": requests.peer,
        "kind": requests.kind,
        "inbound": requests.side == 1,
        "outcome": ended.why[told][order],
        "asked": requests.ts,
        "duration": np.maximum(stretch.arrivals.events[event] - requests.ts, 0),
        "request": requests.seq,
    }
    out.extend(Exchange, event, columns, NAMES)
