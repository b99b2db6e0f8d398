"""Handshakes: what each side said until both had sent `verack`, and what comes when it must not (the rules of states.py).

Only connections seen from their beginning are judged, or told of in `handshake`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from peerwatch.peers.roster import Roster
from peerwatch.peers.states import (
    CARE,
    CONDITIONS,
    NODE_BLOOM,
    NODE_COMPACT_FILTERS,
    RULES,
    TRACK,
    TRACKED,
    TYPE,
    UNKNOWN,
    Care,
    Condition,
)
from peerwatch.peers.stretch import Messages, Output, Stretch
from peerwatch.peers.weirds import Weirds
from peerwatch.schema.batch import Array
from peerwatch.schema.tables.handshake import Handshake
from peerwatch.schema.tables.version import Version

TYPES = 24
"""Types remembered of each side."""

_T = len(TRACKED)
_VERSION, _VERACK = TRACKED.index("version"), TRACKED.index("verack")
_WTXID, _ADDRV2, _RECONCILIATION = (TRACKED.index(name) for name in ("wtxidrelay", "sendaddrv2", "sendtxrcncl"))
_ENDS = np.array([side * _T + position for side in (0, 1) for position in (_VERSION, _VERACK)])
_TX_TYPES = (1, 5, 1 | 1 << 30)
"""Inventory types of transactions (Core, protocol.h: MSG_TX, MSG_WTX, MSG_WITNESS_TX)."""


class Handshakes:
    """Types said by both sides of connections whose handshake is under way, and the judge of all messages' order."""

    def __init__(self, roster: Roster) -> None:
        """Start without any; what must be remembered for longer is in the roster."""
        self._roster = roster
        self._said: dict[int, tuple[list[str], list[str]]] = {}

    def take(self, stretch: Stretch, messages: Messages, ends: Mapping[int, int], weirds: Weirds, out: Output) -> None:
        """Take the messages of a stretch, and the connections that ended in it (peer to ordinal)."""
        conn = self._roster.conn
        some = messages.take(np.flatnonzero(conn["care"][messages.slot] & CARE[messages.code]))
        if len(some.row) and self._roster.met(some, stretch.arrivals.messages()["ts"][some.row]):
            some = some.take(np.flatnonzero(conn["care"][some.slot] & CARE[some.code]))
        if len(some.row):
            self._remember(stretch, some)
            self._judge(stretch, some, weirds)
            opening = np.flatnonzero(conn["care"][some.slot] & Care.OPENING)
            if len(opening):
                self._listen(stretch, some.take(opening), out)
        unknown = np.flatnonzero(messages.code == UNKNOWN)
        if len(unknown):
            weirds.add("unknown_type", messages.row[unknown])
        for peer, ordinal in sorted(ends.items()):
            self._end(stretch, peer, ordinal, out)

    def _remember(self, stretch: Stretch, some: Messages) -> None:
        """Note the first of each type that matters, and the services of each side's first `version`."""
        conn = self._roster.conn
        track = TRACK[some.code]
        known = np.flatnonzero(track >= 0)
        if not len(known):
            return
        first = conn["first"].reshape(-1)
        cells = (some.slot[known] * 2 + some.side[known]) * _T + track[known]
        np.minimum.at(first, cells, some.ordinal[known])
        versions = some.take(np.flatnonzero(some.code == TYPE["version"]))
        is_first = first[(versions.slot * 2 + versions.side) * _T + _VERSION] == versions.ordinal
        # A node says it once: this is another connection, which its source takes for the same (a capture, by its address).
        other = np.flatnonzero(~is_first & (versions.side == 0))
        self._roster.lose_some(versions.slot[other], versions.ordinal[other])
        versions = versions.take(np.flatnonzero(is_first))
        rows = stretch.rows(Version.name, "services") if len(versions.row) else None
        if rows is None:
            return
        said = dict(zip(stretch.ordinals(Version.name).tolist(), rows["services"].tolist(), strict=True))
        for slot, side, ordinal in zip(versions.slot.tolist(), versions.side.tolist(), versions.ordinal.tolist(), strict=True):
            if ordinal in said:
                conn["services"][slot, side] = said[ordinal] & (NODE_BLOOM | NODE_COMPACT_FILTERS)
                conn["has_services"][slot, side] = 1

    def _judge(self, stretch: Stretch, some: Messages, weirds: Weirds) -> None:
        whole = self._roster.whole(some.slot, some.ordinal)
        if not whole.any():
            return
        some = some.take(np.flatnonzero(whole))
        cases = self._cases(some)
        wrong = cases & CONDITIONS[some.code]
        if not wrong.any():
            return
        for rule in RULES:
            hit = np.flatnonzero(wrong & np.uint16(rule.condition))
            hit = hit[np.isin(some.code[hit], [TYPE[name] for name in rule.types])]
            if rule.condition is Condition.NO_TX_RELAY and len(hit):
                hit = hit[(some.code[hit] != TYPE["inv"]) | _names_transactions(stretch, some.ordinal[hit])]
            weirds.add(rule.kind, some.row[hit])

    def _cases(self, some: Messages) -> Array:
        """Which conditions (bits) are the case for each message."""
        conn, at = self._roster.conn, some.ordinal
        first = conn["first"].reshape(-1)
        own = (some.slot * 2 + some.side) * _T
        version, verack = first[own + _VERSION], first[own + _VERACK]
        track = TRACK[some.code]
        repeated = (track >= 0) & (at > first[own + np.maximum(track, 0)])
        opener = conn["inbound"][some.slot]
        told = (first[(some.slot * 2 + 1 - some.side) * _T + _VERSION] < at) & (
            conn["has_services"][some.slot, 1 - some.side] > 0
        )
        offers = conn["services"][some.slot, 1 - some.side]
        bloom = (offers & NODE_BLOOM) > 0
        alone = (first[own + _RECONCILIATION] < at) & (first[own + _WTXID] > at) & (at == verack)
        cases = np.zeros(len(at), np.uint16)
        for condition, holds in (
            (Condition.BEFORE_VERSION, at < version),
            (Condition.BEFORE_VERACK, (at > version) & (at < verack)),
            (Condition.AFTER_VERACK, at > verack),
            (Condition.REPEATED, repeated),
            (Condition.BY_ACCEPTOR, (opener >= 0) & (opener != some.side)),
            (Condition.NO_TX_RELAY, conn["kind"][some.slot] > 0),
            (Condition.NO_ADDR_RELAY, conn["kind"][some.slot] == 1),
            (Condition.NO_BLOOM, told & ~bloom),
            (Condition.NO_COMPACT_FILTERS, told & ((offers & NODE_COMPACT_FILTERS) == 0)),
            (Condition.NO_FILTER, told & bloom & ~self._filtered(some)),
            (Condition.RECONCILIATION_ALONE, alone),
        ):
            cases[holds] |= np.uint16(condition)
        return cases

    def _filtered(self, some: Messages) -> Array:
        """Whether the sender of each `filteradd` has a filter loaded; follows `filterload` and `filterclear`."""
        loaded = np.ones(len(some.code), bool)
        state = self._roster.conn["filter"]
        load, add, clear = (TYPE[name] for name in ("filterload", "filteradd", "filterclear"))
        for i in np.flatnonzero(np.isin(some.code, (load, add, clear))).tolist():
            slot, side = some.slot[i], some.side[i]
            if some.code[i] == add:
                loaded[i] = state[slot, side] > 0
            else:
                state[slot, side] = some.code[i] == load
        return loaded

    def _listen(self, stretch: Stretch, some: Messages, out: Output) -> None:
        """Take messages of connections whose handshake is under way."""
        conn = self._roster.conn
        complete = conn["first"][some.slot][:, _ENDS].max(axis=1)
        until = np.minimum(complete, conn["end_at"][some.slot])
        some = some.take(np.flatnonzero(some.ordinal <= until))
        messages = stretch.arrivals.messages()
        codes, names = stretch.arrivals.types()
        key = (some.slot * 2 + some.side) * len(names) + codes[some.row]
        ts = messages["ts"]
        for i in np.sort(np.unique(key, return_index=True)[1]).tolist():
            slot, row = int(some.slot[i]), int(some.row[i])
            said = self._said.setdefault(int(conn["key"][slot]), ([], []))[int(some.side[i])]
            name = names[codes[row]]
            if name not in said and len(said) < TYPES:
                said.append(name)
            if name == "version" and not conn["version_ts"][slot]:
                conn["version_ts"][slot] = ts[row]
        ended = np.unique(some.slot)
        ended = ended[conn["first"][ended][:, _ENDS].max(axis=1) < conn["end_at"][ended]]
        for slot in ended.tolist():
            self._tell(stretch, slot, int(conn["first"][slot, _ENDS].max()), out, complete=True)

    def _end(self, stretch: Stretch, peer: int, ordinal: int, out: Output) -> None:
        slot = self._roster.conn.slot(peer)
        if slot >= 0 and not self._roster.conn["done"][slot]:
            self._tell(stretch, slot, ordinal, out, complete=False)

    def _tell(self, stretch: Stretch, slot: int, ordinal: int, out: Output, *, complete: bool) -> None:
        """The handshake of a connection is over."""
        conn = self._roster.conn
        peer = int(conn["key"][slot])
        conn["done"][slot] = True
        conn["care"][slot] &= ~np.uint8(Care.OPENING)
        ours, theirs = self._said.pop(peer, ([], []))
        if not (conn["whole_from"][slot] <= ordinal < conn["lost_at"][slot]):
            return
        event = ordinal - stretch.arrivals.base
        ts, inbound = int(stretch.arrivals.events[event]), int(conn["inbound"][slot])
        first = conn["first"][slot].reshape(2, _T)
        said = first <= ordinal
        row = {
            "peer": peer,
            "inbound": None if inbound < 0 else bool(inbound),
            "complete": complete,
            "duration": ts - int(conn["version_ts"][slot]) if complete else None,
            "first": max(0, int(conn["met_ts"][slot] - conn["opened"][slot])) if conn["met"][slot] <= ordinal else None,
            "theirs": ",".join(theirs),
            "ours": ",".join(ours),
            "wtxid_relay": bool(said[:, _WTXID].all()),
            "addrv2": bool(said[1, _ADDRV2]),
            "reconciliation": bool(said[:, _RECONCILIATION].all()),
        }
        out.add(Handshake, event, row)

    def finish_all(self, stretch: Stretch, ordinal: int, out: Output) -> None:
        """The node is gone, and with it every connection."""
        for slot in self._roster.conn.slots().tolist():
            self._end(stretch, int(self._roster.conn["key"][slot]), ordinal, out)

    def prune(self) -> None:
        """Forget connections that the roster no longer has."""
        for peer in [peer for peer in self._said if self._roster.conn.slot(peer) < 0]:
            del self._said[peer]

    def state(self) -> list[Any]:
        """Everything, as JSON-able values."""
        return [[peer, *said] for peer, said in self._said.items()]

    def restore(self, state: Any) -> None:
        """Go on from `state()`."""
        self._said = {int(peer): (list(ours), list(theirs)) for peer, ours, theirs in state}


def _names_transactions(stretch: Stretch, ordinals: Array) -> Array:
    """Whether the `inv` of each of these events announces a transaction."""
    rows = stretch.rows("inventory", "kind")
    if rows is None:
        return np.zeros(len(ordinals), bool)
    return np.isin(ordinals, stretch.ordinals("inventory")[np.isin(rows["kind"], _TX_TYPES)])
