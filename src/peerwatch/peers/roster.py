"""The connections of a node: a row of state for each, and when it began, ended, and became unreliable.

State lasts until the connection is closed and its minute is over, or until there is no more room. A statement about what a side
did *not* do before is made only of a connection that was seen from its beginning, and only until something of it was missed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from peerwatch.peers.states import BLOCK_RELAY_ONLY, FAR, FEELER, TRACKED, TYPE, Care
from peerwatch.peers.stretch import Messages, Stretch
from peerwatch.schema.batch import Array
from peerwatch.schema.tables.connection import Connection
from peerwatch.stats.grouping import group
from peerwatch.stats.keyed import REFUSED, Keyed

CONNECTIONS = 4096
"""Connections kept at most; Core allows 125 unless told otherwise."""

SPAN = 1 << 12
"""Peers whose ids lie so close together, as they do, are located by their low bits."""

SEEN_LOST = ("dropped", "gap", "blind", "unreadable")
"""Kinds of `loss` after which nothing can be said of what was not seen before."""

FORGETTERS = ("pings", "transactions", "block_transactions", "compact_blocks")
"""Memories that may forget something of a connection; what they did is kept for each by itself."""

CELLS = 8
"""Counters of transactions listed for each connection: 4 for each side (see relay.py)."""


class Roster:
    """State of all connections, by slot: `conn` is the table of it, with columns for all parts of this package."""

    def __init__(self, capacity: int = CONNECTIONS) -> None:
        """Start without any connection."""
        self.conn = conn = Keyed(capacity)
        for name in ("met", "open_at", "whole_from", "end_at", "lost_at"):
            conn.column(name, np.int64, initial=FAR)
        for name in ("opened", "met_ts", "version_ts"):
            conn.column(name, np.int64)
        conn.column("care", np.uint8, initial=int(Care.NEW))
        conn.column("inbound", np.int8, initial=-1)
        conn.column("kind", np.int8)
        conn.column("begun_by", np.int8, initial=-1)
        conn.column("done", bool)
        conn.column("first", np.int64, width=2 * len(TRACKED), initial=FAR)
        conn.column("forgot", np.int64, width=len(FORGETTERS), initial=FAR)
        for name in ("services", "has_services", "filter", "waiting"):
            conn.column(name, np.int64, width=2)
        conn.column("relay", np.int64, width=CELLS)
        for name in ("delivered", "not_found", "unasked", "unanswered", "delay_sum", "delay_max"):
            conn.column(name, np.int64, width=2)
        self._near = np.full(SPAN, REFUSED)
        """Slot of each peer, by its low bits, of those located last."""
        self.closed: set[int] = set()
        """Peers whose connection is closed; they leave with their minute."""

    def room_for(self, peers: int) -> bool:
        """Whether there is room for so many more connections."""
        return len(self.conn) + peers < self.conn.capacity

    @property
    def any_whole(self) -> bool:
        """Whether any connection was seen from its beginning; if not, there is nobody to be judged."""
        return bool((self.conn["whole_from"][self.conn.slots()] < FAR).any())

    def locate(self, peers: Array, ordinals: Array) -> Array:
        """The slot of each row's peer, made for it if need be; REFUSED where there is no room. Rows come by ordinal."""
        low = int(peers.min(initial=0))
        if low < 0 or int(peers.max(initial=0)) - low >= SPAN:
            return self.conn.locate(peers, ordinals)
        near = peers & (SPAN - 1)
        slots: Array = self._near[near]
        known = self.conn["key"][slots] == peers
        if not known.all() or (slots < 0).any():
            slots = self.conn.locate(peers, ordinals)
            self._near[near] = slots
        else:
            self.conn["used"][slots] = ordinals  # of several assignments the last one counts
        return slots

    def whole(self, slots: Array, ordinals: Array) -> Array:
        """Mask: the connection was seen from its beginning, and whole, up to this ordinal."""
        conn = self.conn
        until = np.minimum(conn["lost_at"][slots], conn["end_at"][slots])
        return np.asarray((conn["whole_from"][slots] <= ordinals) & (ordinals < until))

    def remembered(self, stretch: Stretch, ordinals: Array, memory: str) -> Array:
        """Mask of the events before which what the other side did is known, none of it forgotten by `memory` (of FORGETTERS)."""
        if not len(ordinals) or not self.any_whole:
            return np.zeros(len(ordinals), bool)
        slots = stretch.slots_of(ordinals)
        known = self.whole(slots, ordinals) & (ordinals < self.conn["forgot"][slots, FORGETTERS.index(memory)])
        return np.asarray(known & stretch.in_order(ordinals))

    def forget(self, peers: Array, ordinals: Array, memory: str) -> None:
        """A memory forgot something of these peers at these ordinals."""
        forgot = self.conn["forgot"][:, FORGETTERS.index(memory)]
        if not len(peers) or not (forgot[self.conn.slots()] == FAR).any():
            return  # what is forgotten later makes no difference
        slots = self.slots_of(peers)
        kept = self.had(slots, ordinals)
        np.minimum.at(forgot, slots[kept], ordinals[kept])

    def forget_of(self, slots: Array, ordinals: Array, memory: str) -> None:
        """As `forget`, of connections that there are."""
        forgot = self.conn["forgot"][:, FORGETTERS.index(memory)]
        if len(slots) and (forgot[self.conn.slots()] == FAR).any():
            np.minimum.at(forgot, slots, ordinals)

    def had(self, slots: Array, ordinals: Array) -> Array:
        """Mask of the connections (slots or REFUSED) that there were at these ordinals: not let go and met again since."""
        begun = np.minimum(self.conn["open_at"][slots], self.conn["met"][slots])
        return np.asarray((slots != REFUSED) & (begun <= ordinals))

    def slots_of(self, peers: Array) -> Array:
        """Slots of peers, REFUSED of those not kept."""
        distinct, index = group(peers)
        return np.asarray(np.array([self.conn.slot(peer) for peer in distinct.tolist()], np.int64)[index])

    def admit(self, stretch: Stretch) -> None:
        """Let the connections of a stretch in by order of arrival, where there may not be room for all."""
        parts = [
            (stretch.ordinals(name), stretch.arrivals.tables[name].column("peer").to_numpy()[stretch.span(name)])
            for name in (Connection.name, "message")
            if stretch.arrivals.has(name)
        ]
        if parts:
            ordinals, peers = (np.concatenate(both) for both in zip(*parts, strict=True))
            order = np.argsort(ordinals, kind="stable")
            self.conn.locate(peers[order], ordinals[order])

    def connections(self, stretch: Stretch) -> dict[int, int]:
        """Take rows of `connection`. Returns the ordinals at which connections of peers ended in this stretch."""
        rows = stretch.rows(Connection.name, "peer", "event")
        if rows is None:
            return {}
        names = rows.batch.schema.names
        optional = {n: rows.batch.column(n).to_pylist() if n in names else [None] * len(rows) for n in ("inbound", "conn_type")}
        ordinals = stretch.ordinals(Connection.name)
        slots = self.conn.locate(rows["peer"], ordinals)
        ends: dict[int, int] = {}
        touched = []
        for i, (slot, event) in enumerate(zip(slots.tolist(), rows["event"].tolist(), strict=True)):
            if slot == REFUSED:
                continue
            self._describe(slot, optional["inbound"][i], optional["conn_type"][i])
            if event == "opened" and self.conn["open_at"][slot] == FAR:
                self.conn["open_at"][slot], self.conn["opened"][slot] = ordinals[i], rows["ts"][i]
            elif event in ("closed", "evicted"):
                peer = int(rows["peer"][i])
                ends.setdefault(peer, int(ordinals[i]))
                self.conn["end_at"][slot] = min(int(self.conn["end_at"][slot]), int(ordinals[i]))
                if event == "closed":
                    self.closed.add(peer)
            touched.append(slot)
        self._resolve(np.unique(np.array(touched, np.int64)))
        return ends

    def _describe(self, slot: int, inbound: bool | None, conn_type: str | None) -> None:  # noqa: FBT001 - a column
        conn = self.conn
        if inbound is not None:
            conn["inbound"][slot] = inbound
        if conn_type is not None:
            conn["kind"][slot] = (BLOCK_RELAY_ONLY, FEELER).index(conn_type) + 1 if conn_type in (BLOCK_RELAY_ONLY, FEELER) else 0

    def met(self, messages: Messages, ts: Array) -> bool:
        """Take the first messages of connections, if there are any among these; `ts` has the time of each."""
        conn = self.conn
        new = np.flatnonzero(conn["care"][messages.slot] & Care.NEW)
        if not len(new):
            return False
        slots, back = messages.slot[new], new[::-1]  # of several assignments the last one counts: the first message
        conn["met"][messages.slot[back]] = messages.ordinal[back]
        conn["met_ts"][messages.slot[back]] = ts[back]
        conn["begun_by"][messages.slot[back]] = np.where(messages.code[back] == TYPE["version"], messages.side[back], -1)
        conn["care"][slots] &= ~np.uint8(Care.NEW)
        self._resolve(np.unique(slots))
        return True

    def _resolve(self, slots: Array) -> None:
        """Work out which of these were seen from the beginning.

        Core's probes tell of a connection that it opens after its own `version` may have been sent; so one of which that was
        not seen first may have lost it.
        """
        conn = self.conn
        opened, met, begun_by = conn["open_at"][slots], conn["met"][slots], conn["begun_by"][slots]
        by_version = begun_by >= 0
        ours = conn["inbound"][slots] == 0
        whole = (opened < FAR) & np.where(ours, (met == FAR) | (begun_by == 0), (opened < met) | by_version)
        conn["whole_from"][slots] = np.where(whole, opened, FAR)
        care = np.where(met == FAR, int(Care.NEW), 0)
        care |= np.where((whole | by_version) & ~conn["done"][slots], int(Care.OPENING), 0)
        care |= np.where(whole, int(Care.WHOLE), 0)
        care |= np.where(whole & (conn["kind"][slots] > 0), int(Care.REFUSING), 0)
        conn["care"][slots] = care

    def lose(self, ordinal: int) -> None:
        """Something was not seen: from here on no connection that had begun counts as whole."""
        slots = self.conn.slots()
        begun = slots[self.had(slots, np.full(len(slots), ordinal))]
        self.conn["lost_at"][begun] = np.minimum(self.conn["lost_at"][begun], ordinal)

    def lose_some(self, slots: Array, ordinals: Array) -> None:
        """Part of a message was not seen."""
        np.minimum.at(self.conn["lost_at"], slots, ordinals)

    def leave(self) -> Array:
        """Let closed connections go. Returns their slots, which still hold their state until others come."""
        slots = self.slots_of(np.array(sorted(self.closed), np.int64))
        slots = slots[slots != REFUSED]
        self.conn.drop(slots)
        self._near[:] = REFUSED
        self.closed.clear()
        return np.asarray(slots)

    def make_room(self) -> Array:
        """Let connections go if there is no room: closed ones, or else those that were silent for longest. As `leave`."""
        if len(self.conn) < self.conn.capacity:
            return np.zeros(0, np.int64)
        gone = self.leave()
        before = self.conn.slots()
        self.conn.sweep()
        self._near[:] = REFUSED
        swept = before[self.slots_of(self.conn["key"][before]) == REFUSED]
        return np.asarray(np.concatenate([gone, swept]))

    def state(self) -> dict[str, Any]:
        """Everything, as JSON-able values."""
        return {"connections": self.conn.state(), "closed": sorted(self.closed)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state()`."""
        self.conn.restore(state["connections"])
        self.closed = set(state["closed"])
