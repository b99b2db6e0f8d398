"""What dissectors make of arrays: Arrow columns with nulls, labels, short byte strings, and text that is safe to show."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from peerwatch.schema.batch import Array
from peerwatch.schema.table import dictionary
from peerwatch.wire.raw import printable

_TEXT_BLOCK = 1 << 18
"""Bytes of text escaped at once, so that memory stays flat and in the processor's cache."""


def _escapes() -> tuple[Array, Array]:
    """What a byte becomes, in 4 bytes as one uint32, and which of these count, as four flags in one uint32; by byte."""
    shown = [printable(bytes([b])).encode() for b in range(256)]
    used = [b"\1" * len(s) for s in shown]
    return np.array(shown, "S4").view("<u4"), np.array(used, "S4").view("<u4")


_SHOWN, _USED = _escapes()
_PLAIN = _USED == 1


def nullable(values: Array, valid: Array) -> pa.Array:
    """Numbers or flags, null where not `valid`."""
    return pa.array(values, mask=None if valid.all() else ~valid)


def labels(codes: Array, names: Sequence[str]) -> pa.DictionaryArray:
    """A label column: `names[codes[i]]` for row i."""
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int16, copy=False)), dictionary(tuple(names)))


def fixed_bytes(values: Array, valid: Array) -> pa.Array:
    """Byte strings of equal length (uint8, shape (rows, width)), null where not `valid`."""
    data = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(pa.binary(values.shape[1]), len(values), [_bitmap(valid), data])


def short_bytes(windows: Array, lengths: Array, valid: Array) -> pa.Array:
    """Byte strings: the first `lengths[i]` bytes of row i of `windows` (uint8, shape (rows, widest)), null where not `valid`."""
    if not valid.any():
        return pa.nulls(len(valid), pa.binary())
    rows, used = windows[valid], lengths[valid]
    widest = int(used.max())
    data = rows[:, :widest] if (used == widest).all() else rows[np.arange(windows.shape[1]) < used[:, None]]
    pieces = [_bitmap(valid), _offsets(np.where(valid, lengths, 0)), pa.py_buffer(np.ascontiguousarray(data))]
    return pa.Array.from_buffers(pa.binary(), len(valid), pieces)


def texts(buf: Array, start: Array, length: Array, valid: Array) -> pa.Array:
    """Bytes from peers as text, escaped as by raw.printable: `length[i]` bytes of `buf` at `start[i]`; null where not `valid`."""
    length = np.where(valid, length, 0)
    stop = np.cumsum(length)
    bounds = np.searchsorted(stop, np.arange(_TEXT_BLOCK, stop[-1] if len(stop) else 0, _TEXT_BLOCK))
    pieces, lengths = [np.zeros(0, np.uint8)], [np.zeros(0, np.int64)]
    view = buf.data
    for first, last in itertools.pairwise([0, *bounds.tolist(), len(length)]):
        part = length[first:last]
        spans = zip(start[first:last].tolist(), part.tolist(), strict=True)
        shown, grown = _shown(np.frombuffer(b"".join([view[at : at + n] for at, n in spans]), np.uint8), part)
        pieces.append(shown)
        lengths.append(grown)
    data = pa.py_buffer(np.concatenate(pieces))
    return pa.Array.from_buffers(pa.utf8(), len(valid), [_bitmap(valid), _offsets(np.concatenate(lengths)), data])


def _shown(data: Array, length: Array) -> tuple[Array, Array]:
    """Texts joined in `data`, each of its `length`, escaped; and their lengths then."""
    strange = ~_PLAIN[data]
    if not strange.any():
        return data, length
    before = np.zeros(len(data) + 1, np.int32)
    np.cumsum(strange, out=before[1:])
    stop = np.cumsum(length)
    grown = length + (before[stop] - before[stop - length]) * (len(r"\xNN") - 1)
    return _SHOWN[data].view(np.uint8)[_USED[data].view(bool)], grown


def _offsets(lengths: Array) -> pa.Buffer:
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pa.py_buffer(offsets)


def _bitmap(valid: Array) -> pa.Buffer | None:
    return None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
