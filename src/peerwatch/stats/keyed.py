"""Columns of numbers for each of a bounded number of keys: what every statistic per peer, address or netgroup is kept in.

A key has a slot as long as it is kept, and a slot is an index into every column. Statistics that belong to the same keys share
one `Keyed`, so they come and go together:

>>> peers = Keyed(capacity=1000)
>>> peers.column("entries", np.int64)
>>> slots = peers.locate(np.array([7, 5, 7]), np.array([1, 1, 2]))
>>> np.add.at(peers["entries"], slots, 1)
>>> peers.of(7, "entries")
2
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from peerwatch.schema.batch import Array
from peerwatch.stats.grouping import group
from peerwatch.stats.packing import pack, unpack

REFUSED = -1
"""Slot of a key for which there was no room."""

SWEEP = 8
"""One of so many slots is freed when none is left."""


class Merge(StrEnum):
    """How a column of a key that two shards both saw is merged."""

    SUM = "sum"
    MIN = "min"
    MAX = "max"


_MERGES = {Merge.SUM: np.add, Merge.MIN: np.minimum, Merge.MAX: np.maximum}


@dataclass(frozen=True, slots=True)
class _Column:
    data: Array
    initial: Any
    merge: Merge


class Keyed:
    """At most `capacity` keys (int64) with a row of numbers each.

    A new key that finds no room is refused and counted in `refused`; `sweep`, called once a second, makes room again by giving
    up the keys that were not used for the longest time, counted in `evicted`. That way what is kept does not depend on how the
    rows of a second were batched. Memory is `capacity` times the width of all columns, from the start.
    """

    def __init__(self, capacity: int) -> None:
        """Start empty.

        Raises:
            ValueError: `capacity` is below 1.
        """
        if capacity < 1:
            raise ValueError(f"a keyed statistic needs room for one key at least, not {capacity}")
        self.capacity = capacity
        self.evicted = 0
        self.refused = 0
        self._slots: dict[int, int] = {}
        self._sorted: Array | None = None
        self._free = list(range(capacity - 1, -1, -1))
        self._columns: dict[str, _Column] = {}
        self.column("key", np.int64)
        self.column("used", np.int64, merge=Merge.MAX)

    def column(self, name: str, dtype: npt.DTypeLike, *, width: int = 0, initial: Any = 0, merge: Merge = Merge.SUM) -> None:
        """Add a column: one number a key, or `width` of them. `initial` is what a new key starts with.

        Raises:
            ValueError: there is a column of that name.
        """
        if name in self._columns:
            raise ValueError(f"there is a column {name} already")
        shape = (self.capacity, width) if width else (self.capacity,)
        data = np.zeros(shape, dtype) if not initial else np.full(shape, initial, dtype)
        self._columns[name] = _Column(data, initial, merge)

    def __getitem__(self, name: str) -> Array:
        """The column, indexed by slot; writing to it is how statistics are updated."""
        return self._columns[name].data

    def __len__(self) -> int:
        """Number of keys kept."""
        return len(self._slots)

    def slot(self, key: int) -> int:
        """The slot of a key, or REFUSED when it is not kept."""
        return self._slots.get(key, REFUSED)

    def of(self, key: int, name: str) -> Any:
        """The value of a column for a key that is kept, as a Python value.

        Raises:
            KeyError: the key is not kept.
        """
        return self._columns[name].data[self._slots[key]].tolist()

    def slots(self) -> Array:
        """Slots of all keys kept, by ascending key."""
        if self._sorted is None:
            self._sorted = np.array([self._slots[key] for key in sorted(self._slots)], np.int64)
        return self._sorted

    def locate(self, keys: Array, ts: Array) -> Array:
        """The slot of each row's key, made for it if need be; REFUSED where there is no room. `ts` orders use (any unit)."""
        distinct, index = group(keys)
        known = np.array([self._slots.get(key, REFUSED) for key in distinct.tolist()], np.int64)
        missing = known == REFUSED
        if missing.any():
            known[missing] = self._take(distinct, index, np.flatnonzero(missing))
        slots = known[index]
        if len(known) and known.min() == REFUSED:
            kept = slots != REFUSED
            np.maximum.at(self["used"], slots[kept], ts[kept])
        else:
            np.maximum.at(self["used"], slots, ts)
        return slots

    def _take(self, distinct: Array, index: Array, missing: Array) -> Array:
        """Slots for the distinct keys at positions `missing`; in order of first appearance when not all of them fit."""
        given = np.full(len(missing), REFUSED, np.int64)
        order = np.arange(len(missing))
        if len(missing) > len(self._free):
            first = np.full(len(distinct), len(index), np.int64)
            np.minimum.at(first, index, np.arange(len(index)))
            order = np.argsort(first[missing])[: len(self._free)]
            self.refused += len(missing) - len(order)
        fresh = [self._free.pop() for _ in order]
        given[order] = fresh
        keys = distinct[missing[order]]
        self.reset(np.array(fresh, np.int64))
        self["key"][fresh] = keys
        self._sorted = None
        self._slots.update(zip(keys.tolist(), fresh, strict=True))
        return given

    def reset(self, slots: Array) -> None:
        """Let every column but the key start over in these slots."""
        for name, column in self._columns.items():
            if name != "key":
                column.data[slots] = column.initial

    def drop(self, slots: Array) -> None:
        """Forget the keys in these slots."""
        if len(slots):
            self._sorted = None
        for slot, key in zip(slots.tolist(), self["key"][slots].tolist(), strict=True):
            if self._slots.pop(key, None) is not None:
                self._free.append(slot)

    def sweep(self) -> None:
        """Make room if there is none: forget the keys not used for the longest time (the smaller key first when equal)."""
        if self._free:
            return
        slots = self.slots()
        oldest = np.lexsort((self["key"][slots], self["used"][slots]))[: max(1, self.capacity // SWEEP)]
        self.evicted += len(oldest)
        self.drop(slots[oldest])

    def merge(self, other: Keyed) -> None:
        """Take in what another shard saw: keys add up, a key of both is merged column by column.

        Shards of one input are cut by key, so the second case is the exception, and approximate for columns that depend on order.

        Raises:
            ValueError: the other has other columns.
        """
        if self._columns.keys() != other._columns.keys():
            raise ValueError("statistics with different columns cannot be merged")
        theirs = other.slots()
        if not len(theirs):
            return
        keys = other["key"][theirs]
        shared = np.array([key in self._slots for key in keys.tolist()])
        mine = self.locate(keys, other["used"][theirs])
        kept = mine != REFUSED
        for name, column in self._columns.items():
            if name == "key":
                continue
            values = other[name][theirs]
            both, fresh = kept & shared, kept & ~shared
            column.data[mine[fresh]] = values[fresh]
            column.data[mine[both]] = _MERGES[column.merge](column.data[mine[both]], values[both])
        self.evicted += other.evicted
        self.refused += other.refused

    def state(self) -> dict[str, Any]:
        """Everything, as JSON-able values; only keys that are kept take room."""
        slots = self.slots()
        columns = {name: pack(column.data[slots]) for name, column in self._columns.items()}
        return {"evicted": self.evicted, "refused": self.refused, "columns": columns}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state()`, with the same columns; keys beyond this capacity are counted as refused."""
        keys = unpack(state["columns"]["key"])
        self.drop(self.slots())
        self.evicted, self.refused = int(state["evicted"]), int(state["refused"])
        slots = self.locate(keys, np.zeros(len(keys), np.int64))
        kept = slots != REFUSED
        for name, column in self._columns.items():
            column.data[slots[kept]] = unpack(state["columns"][name])[kept]
