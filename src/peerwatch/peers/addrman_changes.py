"""Differences of successive states of the address manager, as rows of `addrman_entry`.

A state is what one answer of `getrawaddrman` shows: the places of two tables, `new` and `tried`, and the entry at each place that
is taken. An *entry* is an address with its port and the peer that it is from; an address that comes again from another peer was
forgotten in between, and so is another entry. An address is in one of the tables only. Between two states

- an address that is in the other table now was promoted (`to_tried`) or thrown back by test-before-evict (`to_new`): one row, at
  its first place there, with its first place before. When it is promoted, its other places in `new` go without rows.
- an entry that left as many places of its table as it came to in it has `moved`: a row for each, first place to first place.
- of all others, a row for each place that an entry came to (`inserted`), and for each that it left: `replaced` if another entry
  is there now, else `evicted`.
- `updated` is an entry that stayed at its place while its services or its time changed.

The first state is told whole (`present`). The rows of an answer are in this order: evicted, replaced, to_tried, to_new, moved,
inserted, updated; each by place. Taking them in their order makes the new state of the old one:

- evicted, replaced: clear the place.
- to_tried: clear all places of the address (and port) in `new`; put the entry at the place.
- to_new: clear the old place, if the address is still there; put the entry at the place.
- moved: clear the old place, if the address from that peer is still there; put the entry at the place.
- present, inserted, updated: put the entry at the place.

What happened and was undone between two answers is not seen: an address that came and went, or was promoted and thrown back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from peerwatch.peers.addrman_entries import BUCKET_SIZE, ENTRY, FIRST_TRIED, TABLES, as_numpy, named, places
from peerwatch.schema.batch import Array
from peerwatch.schema.table import dictionary

EVENTS = ("present", "evicted", "replaced", "to_tried", "to_new", "moved", "inserted", "updated")

_GONE = ("evicted", "replaced")
_BEFORE = ["place", "services", "time"]


@dataclass(frozen=True, slots=True)
class Changes:
    """What became of entries between two states, a row each; see the module for their order."""

    event: Array
    """Position in EVENTS."""
    entries: pa.RecordBatch
    """The entry, as in ENTRY: of the old state where it was evicted or replaced, else of the new one."""
    was: pa.RecordBatch
    """Place, services and time in the old state, of what was promoted, thrown back, moved or updated; else nulls."""

    def rows(self, ts: int) -> dict[str, Any]:
        """Columns of `addrman_entry`; `ts` is the time of the answer, ns UTC."""
        now = {name: self.entries.column(name) for name in ENTRY.names}
        before = {name: _where_other(self.was.column(name), now[name]) for name in _BEFORE}
        codes = pa.array(self.event.astype(np.int16))
        return {
            "ts": np.full(len(self.event), ts, np.int64),
            "event": pa.DictionaryArray.from_arrays(codes, dictionary(EVENTS)),
            **_place_columns("", now.pop("place")),
            **now,
            **{name: now[name].dictionary_encode() for name in ("network", "from_network")},
            **_place_columns("old_", before["place"]),
            "old_services": before["services"],
            "old_time": before["time"],
        }

    def count(self, *events: str) -> tuple[int, int]:
        """How many rows of such events there are in `new` and in `tried`."""
        tried = places(self.entries)[np.isin(self.event, [EVENTS.index(each) for each in events])] >= FIRST_TRIED
        return int((~tried).sum()), int(tried.sum())


def first(entries: pa.RecordBatch) -> Changes:
    """The rows that tell a state whole."""
    return _changes(entries.slice(0, 0), entries, [("present", np.arange(len(entries)), None)])


def difference(old: pa.RecordBatch, new: pa.RecordBatch, stayed: Array) -> Changes:
    """The rows that tell how one state became another.

    Args:
        old: entries as in ENTRY, by place, no address in both tables.
        new: the same of the later state.
        stayed: for each of `new` its position in `old`, if the same entry was at the same place, else -1.
    """
    return _changes(old, new, _parts(old, new, stayed))


_Part = tuple[str, Array, Array | None]
"""An event, positions of its entries (in the old state where they have gone, else in the new one), and their positions before."""


def _parts(old: pa.RecordBatch, new: pa.RecordBatch, stayed: Array) -> list[_Part]:
    """The events between two states, in the order of their rows."""
    kept = np.flatnonzero(stayed >= 0)
    went = np.setdiff1d(np.arange(len(old)), stayed[kept], assume_unique=True)
    came = np.flatnonzero(stayed < 0)
    left, right = old.take(pa.array(went)), new.take(pa.array(came))
    address, entry = _codes(left, right)
    tried = (places(left) >= FIRST_TRIED, places(right) >= FIRST_TRIED)
    open_ = (np.ones(len(went), bool), np.ones(len(came), bool))

    up = _firsts(address, ~tried[0], tried[1])
    open_[0][~tried[0] & np.isin(address[0], address[0][up[0]])] = False
    open_[1][up[1]] = False
    back = _firsts(address, tried[0], ~tried[1])
    open_[0][back[0]] = open_[1][back[1]] = False
    moved = _as_often((entry[0] * 2 + tried[0], entry[1] * 2 + tried[1]), *open_)
    open_[0][moved[0]] = open_[1][moved[1]] = False

    gone = went[open_[0]]
    taken = np.isin(places(old)[gone], places(new))
    updated = kept[_other(old, new, stayed, kept)]
    return [
        ("evicted", gone[~taken], None),
        ("replaced", gone[taken], None),
        *((event, came[c], went[w]) for event, (w, c) in (("to_tried", up), ("to_new", back), ("moved", moved))),
        ("inserted", came[open_[1]], None),
        ("updated", updated, stayed[updated]),
    ]


_Codes = tuple[Array, Array]
"""Numbers of what went and of what came, equal where these are; also positions in the two."""


def _codes(left: pa.RecordBatch, right: pa.RecordBatch) -> tuple[_Codes, _Codes]:
    """Numbers of addresses (with port), and of entries."""

    def encoded(one: pa.Array, other: pa.Array) -> Array:
        return as_numpy(pa.concat_arrays([one, other]).dictionary_encode().indices).astype(np.int64)

    address = encoded(named(left), named(right))
    peer = encoded(left.column("from_address"), right.column("from_address"))
    entry = address * (len(peer) + 1) + peer
    cut = len(left)
    return (address[:cut], address[cut:]), (entry[:cut], entry[cut:])


def _firsts(codes: _Codes, went: Array, came: Array) -> _Codes:
    """Of each number that is in both under their masks, the first position in either, by the latter."""
    i, j = np.flatnonzero(went), np.flatnonzero(came)
    _, first, second = np.intersect1d(codes[0][i], codes[1][j], return_indices=True)
    order = np.argsort(second)
    return i[first[order]], j[second[order]]


def _as_often(codes: _Codes, went: Array, came: Array) -> _Codes:
    """Of each number that is in both equally often under their masks, the positions, first with first, by the latter."""
    i, j = np.flatnonzero(went), np.flatnonzero(came)
    _, nth = np.unique(np.concatenate([codes[0][i], codes[1][j]]), return_inverse=True)
    a, b = nth[: len(i)], nth[len(i) :]
    equal = np.bincount(a, minlength=len(nth)) == np.bincount(b, minlength=len(nth))
    i, a = i[equal[a]], a[equal[a]]
    j, b = j[equal[b]], b[equal[b]]
    i, j = i[np.argsort(a, kind="stable")], j[np.argsort(b, kind="stable")]
    order = np.argsort(j)
    return i[order], j[order]


def _other(old: pa.RecordBatch, new: pa.RecordBatch, stayed: Array, kept: Array) -> Array:
    """Whether services or time of the entries that stayed, `kept`, are others now."""
    other = np.zeros(len(kept), bool)
    for name in ("services", "time"):
        other |= as_numpy(old.column(name))[stayed[kept]] != as_numpy(new.column(name))[kept]
    return other


def _changes(old: pa.RecordBatch, new: pa.RecordBatch, parts: Sequence[_Part]) -> Changes:
    """Rows of events."""
    event = np.concatenate([np.full(len(at), EVENTS.index(name), np.uint8) for name, at, _ in parts])
    before = np.concatenate([np.full(len(at), -1) if was is None else was for _, at, was in parts])
    gone = np.concatenate([np.zeros(0, np.int64), *(at for name, at, _ in parts if name in _GONE)])
    here = np.concatenate([np.zeros(0, np.int64), *(at for name, at, _ in parts if name not in _GONE)])
    entries = zip(old.take(pa.array(gone)).columns, new.take(pa.array(here)).columns, strict=True)
    was = old.select(_BEFORE).take(pa.array(before, mask=before < 0))
    return Changes(event, pa.RecordBatch.from_arrays([pa.concat_arrays(pair) for pair in entries], schema=ENTRY), was)


def _where_other(before: pa.Array, now: pa.Array) -> pa.Array:
    """What was before, where it is known and another now; else null."""
    return pc.if_else(pc.not_equal(before, now), before, pa.nulls(len(before), before.type))


def _place_columns(prefix: str, place: pa.Array) -> dict[str, pa.Array]:
    """Table, bucket and position of places; null for a null."""
    absent, number = as_numpy(place.is_null()), as_numpy(place.fill_null(0))
    tried = number >= FIRST_TRIED
    within = (number - tried * FIRST_TRIED).astype(np.int32)
    table = pa.DictionaryArray.from_arrays(pa.array(tried.astype(np.int16), mask=absent), dictionary(TABLES))
    bucket, position = (pa.array(each, mask=absent) for each in np.divmod(within, np.int32(BUCKET_SIZE)))
    return {f"{prefix}table": table, f"{prefix}bucket": bucket, f"{prefix}position": position}
