"""The layout engine: reads one field of all payloads of a batch at once.

A `Cursor` stands at one place in each of many payloads. A dissector reads top to bottom in wire order, each call giving an
array with one value a payload, and the cursor keeps for every payload how far it came, whether it still goes on, and what is
wrong with it. Values of payloads that stopped are zero.

    c = Cursor.over(payloads)
    nonce = c.u64()
    present = c.live            # whose nonce was there
    error = c.finish()          # with TRAILING for those that have bytes left

The rules, in one place for all message types:

- A field that goes past the end of a payload that we kept whole is the sender's fault: TRUNCATED. In a payload that we cut
  (kept < size), running out of kept bytes stops reading without an error. Only a `body`, whose content nobody wants, is judged
  by what was sent alone.
- The first error of a payload counts. What was read before it stays.
- Counts and lengths are held against limit and bytes present before anything is allocated for them.
- Nothing that a payload contains makes anything here raise, and no byte after `kept` has an influence on any value.

Fixed-width reads at the end of the kept bytes run into the next payload or the buffer's padding, and are then zeroed; that is
why a field may be at most `PAD` wide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from peerwatch.schema.batch import Array
from peerwatch.wire.dissector import Payloads, WireError

_WIDE = 253
"""A compact size of this first byte or above has 2, 4 or 8 further bytes (Core, serialize.h, ReadCompactSize)."""
_WIDE_BYTES = np.array([2, 4, 8])
_WIDE_MASK = np.array([0xFFFF, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF], np.uint64)
_WIDE_LEAST = np.array([_WIDE, 1 << 16, 1 << 32], np.uint64)
"""Smallest value that each of these widths may hold; a smaller one is not canonical."""

COMPACT_SIZE_BYTES = 9
"""Longest encoding of a compact size."""
HASH_BYTES = 32
"""A hash of anything."""


def fields(buf: Array, at: Array, kind: npt.DTypeLike) -> Array:
    """Values of type `kind` (packed, at most PAD bytes) that begin at the byte offsets `at` of `buf`; a copy, aligned.

    The caller has made sure that they lie inside of `buf`.
    """
    kind = np.dtype(kind)
    # Gathered as plain bytes: NumPy would copy a structure field by field.
    everywhere: Array = np.ndarray((len(buf) - kind.itemsize + 1,), f"V{kind.itemsize}", buf, 0, (1,))
    return everywhere[at].view(kind)


def matrix(buf: Array, at: Array, width: int) -> Array:
    """The `width` bytes (at most PAD) at each of the offsets `at` of `buf` (uint8, shape (len(at), width))."""
    return fields(buf, at, f"V{width}").view(np.uint8).reshape(len(at), width)


@dataclass(frozen=True, slots=True)
class Entries:
    """Entries of counted lists, of all payloads, in order: for each its payload, its position in the list, its byte offset."""

    message: Array
    idx: Array
    at: Array

    def where(self, keep: Array) -> Entries:
        """The entries of mask `keep`."""
        return self if keep.all() else Entries(self.message[keep], self.idx[keep], self.at[keep])


def numbered(counts: Array) -> tuple[Array, Array]:
    """For `counts[i]` entries of payload i, all in order: the payload of each (int64), and its position there (int32)."""
    message = np.repeat(np.arange(len(counts)), counts)
    first = (np.cumsum(counts) - counts).astype(np.int32)
    return message, np.arange(len(message), dtype=np.int32) - first.take(message)


class Cursor:
    """One place in each of many payloads; see the module.

    `pos` (where reading goes on), `limit` (end of the kept bytes) and `end` (end on the wire) are byte offsets in `buf`, int64,
    one a payload; `live` says who still goes on; `error` holds WireError codes. A read replaces these arrays and never writes
    into them (only `error` is written in place), so a dissector may keep `live` as the mask of a field's presence.
    """

    __slots__ = ("_all", "buf", "end", "error", "limit", "live", "pos")

    def __init__(self, buf: Array, pos: Array, limit: Array, end: Array) -> None:
        """Stand at `pos` in payloads that are kept up to `limit` and were sent up to `end`."""
        self.buf, self.pos, self.limit, self.end = buf, pos, limit, end
        self.live: Array = np.ones(len(pos), bool)
        self.error: Array = np.zeros(len(pos), np.int8)
        self._all = True

    @classmethod
    def over(cls, payloads: Payloads) -> Self:
        """Stand at the start of every payload."""
        start = payloads.start
        return cls(payloads.buf, start, start + payloads.kept, start + payloads.size)

    # Numbers, in wire order. Little-endian unless the name says otherwise.

    def u8(self) -> Array:
        """An unsigned byte (uint8)."""
        return self._number("u1")

    def u16be(self) -> Array:
        """An unsigned 16-bit number, big-endian as ports are (uint16)."""
        return self._number(">u2").astype(np.uint16)

    def u32(self) -> Array:
        """An unsigned 32-bit number (uint32)."""
        return self._number("<u4")

    def i32(self) -> Array:
        """A signed 32-bit number (int32)."""
        return self._number("<i4")

    def u64(self) -> Array:
        """An unsigned 64-bit number (uint64)."""
        return self._number("<u8")

    def i64(self) -> Array:
        """A signed 64-bit number (int64)."""
        return self._number("<i8")

    def octets(self, width: int) -> Array:
        """`width` bytes as they are (uint8, shape (payloads, width))."""
        at = self.pos
        self.skip(width)
        values = matrix(self.buf, at, width)
        if not self._all:
            values[~self.live] = 0
        return values

    def compact_size(self) -> Array:
        """A compact size of 1, 3, 5 or 9 bytes (uint64); NON_CANONICAL stops, as it does in Core."""
        first = self.u8()
        value = first.astype(np.uint64)
        wide = np.flatnonzero(first >= _WIDE)
        if len(wide):
            kind = first[wide] - _WIDE
            held = fields(self.buf, self.pos[wide], "<u8") & _WIDE_MASK[kind]
            further = np.zeros(len(first), np.int64)
            further[wide] = _WIDE_BYTES[kind]
            self.skip(further)
            value[wide] = np.where(self.live[wide], held, np.uint64(0))
            short = np.zeros(len(first), bool)
            short[wide] = held < _WIDE_LEAST[kind]
            self.fail(short, WireError.NON_CANONICAL)
        return value

    def count(self, limit: int) -> Array:
        """The count of a list (int64), at most `limit`: more is OVER_LIMIT, and the first `limit` entries can still be read."""
        value = self.compact_size()
        self.note(value > limit, WireError.OVER_LIMIT)
        return np.minimum(value, np.uint64(limit)).astype(np.int64)

    def length(self, limit: int) -> Array:
        """The length of a string (int64), at most `limit`: more is OVER_LIMIT and stops."""
        value = self.compact_size()
        self.fail(value > limit, WireError.OVER_LIMIT)
        return np.where(self.live, value, np.uint64(0)).astype(np.int64)

    def skip(self, width: int | Array) -> None:
        """Pass over `width` bytes."""
        after = self.pos + width
        beyond = after > self.limit
        if beyond.any():
            self.fail(beyond & (self.limit == self.end), WireError.TRUNCATED)
            self.fail(beyond, WireError.NONE)
        self.pos = after if self._all else np.where(self.live, after, self.pos)

    def body(self, counts: Array, width: int = 1) -> Array:
        """Pass over `counts` items of `width` bytes that need not be kept; gives how many of them were wholly sent (int64).

        Fewer than `counts` are TRUNCATED, whether they were kept or not. What lies behind them is read where it was kept. Not for
        a nested cursor: the outer one would not learn of the bytes passed over.
        """
        sent = np.where(self.live, np.minimum(counts, (self.end - self.pos) // width), 0)
        self.fail(sent < counts, WireError.TRUNCATED)
        after = self.pos + sent * width
        unkept = np.maximum(after - self.limit, 0)
        # Reading goes on at the end of the kept bytes, as if those that were passed over beyond it had never been sent.
        self.pos, self.end = after - unkept, self.end - unkept
        return sent

    # Lists.

    def entries(self, counts: Array, width: int) -> Entries:
        """Pass over `counts` entries of `width` bytes; gives those that are wholly there."""
        room = (self.limit - self.pos) // width
        have = np.minimum(counts, room) if self._all else np.where(self.live, np.minimum(counts, room), 0)
        message, idx = numbered(have)
        # Entry n of all lies n widths behind where the first of its payload would begin if all before it were in there, too.
        at = (self.pos - (np.cumsum(have) - have) * width).take(message)
        at += np.arange(0, len(at) * width, width)
        self.pos = self.pos + have * width
        self.skip(np.where(have < counts, width, 0))
        return Entries(message, idx, at)

    def nested(self, entries: Entries) -> Cursor:
        """A cursor over entries of varying width, as if each were a payload that reaches to the end of its own."""
        return Cursor(self.buf, entries.at, self.limit[entries.message], self.end[entries.message])

    def adopt(self, inner: Cursor, entries: Entries) -> Array:
        """Go on after nested entries. Each payload's entries count up to the first that did not end well, whose error it gets.

        Returns:
            Mask of the entries that count.
        """
        message = entries.message
        last = np.flatnonzero(np.append(message[1:] != message[:-1], True)[: len(message)])
        pos = self.pos.copy()
        pos[message[last]] = inner.pos[last]
        self.pos = pos
        broken = np.flatnonzero(~inner.live)
        if not len(broken):
            return np.ones(len(message), bool)
        where, first = np.unique(message[broken], return_index=True)
        stop = np.full(len(pos), len(message))
        stop[where] = broken[first]
        keep = np.arange(len(message)) < stop[message]
        error = np.zeros(len(pos), np.int8)
        error[where] = inner.error[broken[first]]
        self.error = np.where(self.error == WireError.NONE, error, self.error)
        self.fail(stop < len(message), WireError.NONE)
        return keep

    # Ends.

    def optional(self, where: Array | None = None) -> None:
        """Payloads (of the mask `where`) may end here, well formed: fields from here on are optional."""
        ended = self.pos == self.end
        self.fail(ended if where is None else ended & where, WireError.NONE)

    def fail(self, where: Array, code: WireError) -> None:
        """Stop reading the payloads of the mask `where`, with an error (the first one counts) or, with NONE, without."""
        where = where & self.live
        if not where.any():
            return
        self.note(where, code)
        self.live = self.live & ~where
        self._all = False

    def note(self, where: Array, code: WireError) -> None:
        """An error (the first one counts) of the payloads of the mask `where`, after which reading goes on."""
        self.error[where & self.live & (self.error == WireError.NONE)] = code

    def finish(self) -> Array:
        """All fields are read: bytes left are TRAILING. Gives the error of every payload (WireError codes, int8)."""
        self.note(self.pos < self.end, WireError.TRAILING)
        return self.error

    def _number(self, kind: str) -> Array:
        at = self.pos
        values = fields(self.buf, at, kind)
        self.skip(values.itemsize)
        if not self._all:
            values[~self.live] = 0
        return values
