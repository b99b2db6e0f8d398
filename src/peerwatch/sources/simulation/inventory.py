"""Messages that are lists of inventory: `inv`, `getdata`, `notfound`."""

from __future__ import annotations

import numpy as np

from peerwatch.schema.batch import Array
from peerwatch.sources.simulation.events import Events, messages
from peerwatch.sources.simulation.pieces import vectors

MSG_TX, MSG_BLOCK, MSG_CMPCT_BLOCK, MSG_WTX = 1, 2, 4, 5
MSG_WITNESS_TX, MSG_WITNESS_BLOCK = MSG_TX | 1 << 30, MSG_BLOCK | 1 << 30
"""Inventory types (Core, protocol.h)."""


def entries(kind: Array, ids: Array) -> Array:
    """Inventory entries: types (one each) and ids (uint8, 32 bytes each) as uint8 of shape (n, 36)."""
    out = np.empty((len(ids), 36), np.uint8)
    out[:, :4] = kind.astype("<u4").reshape(-1, 1).view(np.uint8)
    out[:, 4:] = ids
    return out


def one(kind: int, item: bytes) -> bytes:
    """A message with a single entry."""
    return b"\x01" + kind.to_bytes(4, "little") + item


def runs(*keys: Array) -> Array:
    """Where a run of equal keys begins, in columns that are sorted by them."""
    count = len(keys[0])
    fresh = np.zeros(count, bool)
    fresh[:1] = True
    for key in keys:
        fresh[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(fresh)


def lists(ts: Array, peer: Array, rows: Array, first: Array, kind: tuple[bool, str]) -> Events:
    """Messages of one direction (inbound or not) and type: entry `first[i]` and those up to the next are one message."""
    count = np.diff(np.append(first, len(rows)))
    inbound, name = kind
    return messages(ts[first], peer[first], inbound, name, vectors(rows, None, count))
