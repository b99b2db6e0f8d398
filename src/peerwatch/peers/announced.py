"""Which transactions the node announced to which peer: two generations of a table of a fixed size.

An announcement is one cell, found by a hash of peer and item. When as many have been noted as a generation takes, the older of
the two is given up, and connections that began before the younger one did are not judged any more: of them something may have
been forgotten. Two announcements may fall on one cell, so some of what was never announced goes unnoticed (a quarter, when both
generations are full), but nobody is accused because of it.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from peerwatch.schema.batch import Array

CELL_BITS = 21
"""Cells of a generation: 2 million, a bit each in a snapshot."""

NOTED = 1 << 18
"""Announcements that a generation takes: with 100 peers and 5 transactions a second, those of 10 to 20 minutes."""

_BEFORE = 1
"""In a cell: noted in an earlier batch. Higher numbers are positions in the present one, and 0 is never."""

_C1, _C2, _SHIFT = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC4CEB9FE1A85EC53), np.uint64(64 - CELL_BITS)


@dataclass(frozen=True, slots=True)
class Items:
    """Items of connections, by ordinal; `began` is the ordinal of the connection's beginning."""

    peer: Array
    item: Array
    ordinal: Array
    began: Array

    def take(self, index: Array | slice) -> Items:
        """Some of them."""
        return Items(self.peer[index], self.item[index], self.ordinal[index], self.began[index])


class Announced:
    """Announcements of the node to its peers. Nothing has been forgotten of connections that began at `since` or later."""

    def __init__(self) -> None:
        """Start without any."""
        self._cells = [np.zeros(1 << CELL_BITS, np.int32), np.zeros(1 << CELL_BITS, np.int32)]
        self._noted = 0
        self._young_since = self.since = 0

    def missing(self, announced: Items, requested: Items, base: int) -> Array:
        """Take announcements and requests of one stretch, `base` being the ordinal of its first event.

        Returns:
            Mask of the requests for what was not announced to that peer before.
        """
        missing = np.zeros(len(requested.ordinal), bool)
        asked = 0
        while True:
            announced = announced.take(announced.began >= self.since)
            room = NOTED - self._noted
            full = len(announced.ordinal) >= room
            some = announced.take(slice(room))
            written = self._note(some, base)
            until = np.searchsorted(requested.ordinal, some.ordinal[-1], "right") if full else len(requested.ordinal)
            part = slice(asked, max(asked, int(until)))
            missing[part] = self._unknown(requested.take(part), base)
            self._cells[1][written] = _BEFORE
            if not full:
                return missing
            asked = part.stop
            self._turn(int(some.ordinal[-1]) + 1)
            announced = announced.take(slice(room, None))

    def _note(self, announced: Items, base: int) -> Array:
        """Note announcements with their positions; the cells written."""
        cells, young = _cells(announced), self._cells[1]
        new = np.flatnonzero(young[cells] == 0)[::-1]  # of several assignments the last one counts: the first announcement
        young[cells[new]] = announced.ordinal[new] - base + _BEFORE + 1
        self._noted += len(cells)
        return np.asarray(cells[new])

    def _unknown(self, requested: Items, base: int) -> Array:
        cells, at = _cells(requested), requested.ordinal - base + _BEFORE + 1
        unknown = requested.began >= self.since
        for generation in self._cells:
            noted = generation[cells]
            unknown &= (noted == 0) | (noted >= at)
        return unknown

    def _turn(self, ordinal: int) -> None:
        """The younger generation is full; the next begins at this ordinal."""
        old, young = self._cells
        old[:] = 0
        self._cells = [young, old]
        self._noted = 0
        self.since, self._young_since = self._young_since, ordinal

    def state(self) -> dict[str, Any]:
        """Everything, as JSON-able values, below 700 kB; that of what is noted, so less for few announcements."""
        cells = [base64.b64encode(zlib.compress(np.packbits(c > 0).tobytes(), 1)).decode() for c in self._cells]
        return {"cells": cells, "noted": self._noted, "since": self.since, "young_since": self._young_since}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state()`."""
        bits = [np.frombuffer(zlib.decompress(base64.b64decode(c)), np.uint8) for c in state["cells"]]
        self._cells = [np.unpackbits(b).astype(np.int32) * _BEFORE for b in bits]
        self._noted, self.since, self._young_since = (int(state[n]) for n in ("noted", "since", "young_since"))


def _cells(items: Items) -> Array:
    word = (items.item ^ (items.peer.astype(np.uint64) * _C1)) * _C2
    return np.asarray(((word ^ (word >> np.uint64(32))) * _C1 >> _SHIFT).astype(np.int64))
