"""Byte strings of different lengths, many at once, without a Python object each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from peerwatch.schema.batch import Array

COMPACT = 9
"""Bytes of the longest compact size."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """Piece i is `buf[start[i] : start[i] + size[i]]`; pieces may share bytes. buf uint8, start and size int64."""

    buf: Array
    start: Array
    size: Array

    def __len__(self) -> int:
        """Number of pieces."""
        return len(self.start)

    def take(self, index: Array | slice) -> Pieces:
        """Some of the pieces; bytes are not copied."""
        return Pieces(self.buf, self.start[index], self.size[index])

    def compacted(self) -> Pieces:
        """The same pieces, back to back in a buffer of their own."""
        source = np.repeat(self.start - starts(self.size), self.size) + np.arange(int(self.size.sum()))
        return Pieces(self.buf[source], starts(self.size), self.size)

    @classmethod
    def of_bytes(cls, parts: Sequence[bytes]) -> Pieces:
        """Pieces of Python byte strings."""
        size = np.fromiter(map(len, parts), np.int64, len(parts))
        return cls(np.frombuffer(b"".join(parts), np.uint8), starts(size), size)

    @classmethod
    def of_rows(cls, rows: Array) -> Pieces:
        """Pieces of one size: each row of a uint8 array of shape (n, width)."""
        count, width = rows.shape
        return cls(np.ascontiguousarray(rows).reshape(-1), np.arange(count) * width, np.full(count, width))

    @classmethod
    def joined(cls, parts: Sequence[Pieces]) -> Pieces:
        """All pieces of `parts`, at least one, in one buffer."""
        at = np.cumsum([0, *(len(p.buf) for p in parts)])
        return cls(
            np.concatenate([p.buf for p in parts]),
            np.concatenate([p.start + a for p, a in zip(parts, at[:-1].tolist(), strict=True)]),
            np.concatenate([p.size for p in parts]),
        )


def starts(sizes: Array) -> Array:
    """Where pieces of these sizes begin when they lie back to back, int64."""
    out = np.zeros(len(sizes), np.int64)
    np.cumsum(sizes[:-1], out=out[1:])
    return out


def ranks(keys: Array) -> Array:
    """For sorted keys: the position of each within its run of equal keys, int64."""
    if not len(keys):
        return np.zeros(0, np.int64)
    fresh = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    return np.arange(len(keys)) - np.repeat(fresh, np.diff(np.append(fresh, len(keys))))


_COMPACT_LIMITS = np.array([0xFC, 0xFFFF, 0xFFFFFFFF], np.uint64)
"""The largest number of each form of a compact size but the last."""


def compact_sizes(values: Array) -> tuple[Array, Array]:
    """Numbers as Bitcoin's compact sizes: bytes of shape (n, 9) and a mask of those that count."""
    numbers = np.asarray(values, np.uint64)
    wide = numbers.astype("<u8").reshape(-1, 1).view(np.uint8)
    kind = np.searchsorted(_COMPACT_LIMITS, numbers)  # 0: one byte; 1, 2, 3: a marker, then 2, 4 or 8 bytes
    out = np.zeros((len(numbers), COMPACT), np.uint8)
    out[:, 1:] = wide
    out[:, 0] = np.where(kind == 0, wide[:, 0], np.uint8(0xFC) + kind.astype(np.uint8))
    width = np.array([1, 3, 5, 9])[kind]
    return out, np.arange(COMPACT) < width[:, None]


def vectors(rows: Array, keep: Array | None, counts: Array) -> Pieces:
    """Messages that are a compact size and then that many entries.

    Args:
        rows: entries one after another, uint8 of shape (n, width), width at least 9.
        keep: mask of the bytes of `rows` that count, or None for all.
        counts: entries of each message, at least one; they add up to n.
    """
    total, width = len(rows) + len(counts), rows.shape[1]
    heads = starts(counts) + np.arange(len(counts))
    is_entry = np.ones(total, bool)
    is_entry[heads] = False
    table = np.zeros((total, width), np.uint8)
    mask = np.zeros((total, width), bool)
    table[is_entry] = rows
    mask[is_entry] = True if keep is None else keep
    table[heads, :COMPACT], mask[heads, :COMPACT] = compact_sizes(counts)
    size = np.add.reduceat(mask.sum(axis=1), heads) if len(heads) else np.zeros(0, np.int64)
    return Pieces(table[mask], starts(size), size)
