"""Entries of `inv`, `getdata` and `notfound` in a stretch: whose they are and what they speak of."""

from __future__ import annotations

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
"""The types as they stand in `Entries.cell`."""

LIST, SIDE = 0b110, 0b1000
"""Bits of `Entries.cell`."""

_LIST = np.zeros(UNKNOWN + 1, np.int64)
_LIST[[TYPE[name] for name in LISTS]] = range(1, len(LISTS) + 1)


class Entries:
    """Entries of the messages of a stretch in order; one entry each of

    `ordinal`, `cell` (((slot * 2 + side) * 4 + list) * 2; the list is 0 where there is no room for the connection), `kind` as
    sent, `is_tx` and `item`. `others` are the indices of those that are no transactions.
    """

    def __init__(self, stretch: Stretch, messages: Messages) -> None:
        """Look at the rows of `inventory`; there must be some."""
        rows = stretch.rows(Inventory.name, "kind", "item")
        none = np.zeros(0, np.int64)
        self.ordinal = none if rows is None else stretch.ordinals(Inventory.name)
        self.kind = none.astype(np.uint32) if rows is None else rows["kind"]
        self.item = none.astype(np.uint64) if rows is None else rows["item"]
        self.is_tx = (self.kind == MSG_WTX) | (self.kind == MSG_TX) | (self.kind == MSG_TX | WITNESS)
        self.others = np.flatnonzero(~self.is_tx)
        cells = np.zeros(stretch.stop - stretch.first, np.int64)
        cells[messages.ordinal - stretch.start] = ((messages.slot * 2 + messages.side) * 4 + _LIST[messages.code]) * 2
        self.cell = cells[self.ordinal - stretch.start]

    def __len__(self) -> int:
        """Number of entries."""
        return len(self.ordinal)

    def list(self, index: Array | slice = slice(None)) -> Array:
        """INV, GETDATA or NOTFOUND of some entries; 0 where there is no room for the connection."""
        return np.asarray(self.cell[index] >> 1 & 3)

    def side(self, index: Array) -> Array:
        """Who sent some entries: 1 for the peer."""
        return np.asarray(self.cell[index] >> 3 & 1)

    def slot(self, index: Array) -> Array:
        """The connections of some entries."""
        return np.asarray(self.cell[index] >> 4)

    def strange(self) -> Array:
        """Ordinals of entries whose kind does not exist, each once."""
        return np.unique(self.ordinal[self.others[~np.isin(self.kind[self.others], _KNOWN)]])
