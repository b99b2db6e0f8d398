"""Lists in a stretch (`inv`, `getdata`, `notfound`): whose they are and what they speak of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from peerwatch.peers.states import TYPE, UNKNOWN
from peerwatch.peers.stretch import Messages, Stretch
from peerwatch.schema.batch import Array
from peerwatch.schema.tables.inventory import Inventory

WITNESS = 1 << 30
"""Core, protocol.h: MSG_WITNESS_FLAG."""

MSG_TX, MSG_BLOCK, MSG_FILTERED_BLOCK, MSG_CMPCT_BLOCK, MSG_WTX = range(1, 6)
"""Core, protocol.h: GetDataMsg; BIP 37, 144, 152, 339."""

BLOCKS = (MSG_BLOCK, MSG_FILTERED_BLOCK, MSG_CMPCT_BLOCK)
_KNOWN = (*BLOCKS, MSG_BLOCK | WITNESS, MSG_FILTERED_BLOCK | WITNESS)

LISTS = ("inv", "getdata", "notfound")
INV, GETDATA, NOTFOUND = range(1, 4)
"""The types as they stand in `Lists.list`."""

_LIST = np.zeros(UNKNOWN + 1, np.int64)
_LIST[[TYPE[name] for name in LISTS]] = range(1, len(LISTS) + 1)


@dataclass(frozen=True, slots=True)
class Spoken:
    """Transactions that some lists speak of: `ordinal` and `slot` of each list; of each transaction the index of its `entry`, its
    `item`, and which of these lists it stands in.
    """

    ordinal: Array
    slot: Array
    entry: Array
    item: Array
    of: Array


class Lists:
    """The messages of a stretch that list something, in order, but for connections without room.

    Of each: `ordinal`, `slot`, `side`, `list` (INV, GETDATA, NOTFOUND), and its entries: `count` from `start` on. Of each entry,
    those of connections without room included: `kind` as sent and `item`. `others` are the indices of entries that are no
    transactions, and `strange` the events (indices into the chunk) with a kind that does not exist, for whomever there is room.
    """

    def __init__(self, stretch: Stretch, messages: Messages) -> None:
        """Look at the rows of `inventory`."""
        rows = stretch.rows(Inventory.name, "idx", "kind", "item")
        none = np.zeros(0, np.int64)
        self.kind = none.astype(np.uint32) if rows is None else rows["kind"]
        self.item = none.astype(np.uint64) if rows is None else rows["item"]
        of = none if rows is None else stretch.arrivals.of[Inventory.name][stretch.span(Inventory.name)]
        self.start = none if rows is None else np.flatnonzero(rows["idx"] == 0)
        self.count = np.diff(self.start, append=len(of))
        message = messages.at(stretch, of[self.start])
        if len(message) and message.min() < 0:
            known = np.flatnonzero(message >= 0)
            self.start, self.count, message = self.start[known], self.count[known], message[known]
        self.ordinal, self.slot, self.side = messages.ordinal[message], messages.slot[message], messages.side[message]
        self.list = _LIST[messages.code[message]]
        self._is_tx: Array | None = None
        self.others = self.strange = none
        if not (self.kind == MSG_WTX).all():
            self._is_tx = (self.kind == MSG_WTX) | (self.kind == MSG_TX) | (self.kind == MSG_TX | WITNESS)
            others = np.flatnonzero(~self._is_tx)
            self.strange = np.unique(of[others[~np.isin(self.kind[others], _KNOWN)]])
            self.others = others[self._has_room(others)]

    def __len__(self) -> int:
        """Number of lists."""
        return len(self.ordinal)

    def of(self, entries: Array) -> Array:
        """Which list each of these entries is of."""
        return np.asarray(np.searchsorted(self.start, entries, side="right") - 1)

    def _has_room(self, entries: Array) -> Array:
        if not len(self.start):
            return np.zeros(len(entries), bool)
        of = self.of(entries)
        return np.asarray((of >= 0) & (entries < self.start[of] + self.count[of]))

    def transactions(self) -> Array:
        """How many entries of each list are transactions."""
        if not len(self.others):
            return self.count
        return np.asarray(self.count - np.bincount(self.of(self.others), minlength=len(self)))

    def speaking(self, lists: Array) -> Spoken:
        """What some lists (indices, in order) say of transactions."""
        count = self.count[lists]
        of = np.repeat(np.arange(len(lists)), count)
        entry = np.arange(len(of)) + np.repeat(self.start[lists] - (np.cumsum(count) - count), count)
        if self._is_tx is not None:
            kept = np.flatnonzero(self._is_tx[entry])
            entry, of = entry[kept], of[kept]
        return Spoken(self.ordinal[lists], self.slot[lists], entry, self.item[entry], of)
