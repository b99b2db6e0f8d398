"""Which autonomous system an address belongs to, by a map in Bitcoin Core's format (`-asmap`; src/util/asmap.cpp).

Such a map is a program of bits that reads an address from its first bit on: JUMP goes on at one of two places by the next bit,
MATCH ends with the default unless the next bits are these, DEFAULT sets the default, RETURN ends with a number. It does not run
here for each address: it is walked through once, which Core does too to check it, and gives the borders between systems in
ascending order, since of both ways on from a JUMP the one for 0 comes first. A lookup is a binary search among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from peerwatch.peers.ranges import Ranges

BITS = 128
"""Length of an address; of IPv4 in its mapped form."""

RETURN, JUMP, MATCH, DEFAULT = range(4)

_Kind = tuple[tuple[int, int], ...]


def _classes(least: int, *sizes: int) -> _Kind:
    """The classes of a kind of numbers: the least number and the bits of each."""
    return tuple((least + sum(1 << before for before in sizes[:nth]), size) for nth, size in enumerate(sizes))


_TYPE, _ASN, _PATTERN, _DISTANCE = (
    _classes(0, 0, 0, 1),
    _classes(1, *range(15, 25)),
    _classes(2, *range(1, 9)),
    _classes(17, *range(5, 31)),
)
_WHOLE = 8
"""Bits that a MATCH has, but for one of several in a row."""
_PADDING = 7
"""Bits that may follow the program, to fill its last byte."""


class AsmapError(Exception):
    """It is no map in Core's format; the message says where that showed."""


class Asmap:
    """A map of addresses to autonomous systems."""

    def __init__(self, data: bytes) -> None:
        """Read the content of a file.

        Raises:
            AsmapError: Core would not take it for a map (SanityCheckASMap).
        """
        self._ranges = Ranges.of_pieces(_Walk(data))

    def __len__(self) -> int:
        """Number of pieces into which it cuts all addresses."""
        return len(self._ranges)

    def lookup(self, ip: bytes) -> int:
        """The autonomous system of an address of 16 bytes, 0 for none. See netgroup.mappable."""
        return self._ranges.of(ip)


class _Place(NamedTuple):
    """Where a JUMP goes when the bit is 1."""

    offset: int
    """The bit at which the program goes on."""
    begin: int
    """The first address that comes there."""
    left: int
    """Bits of it that are not read yet."""
    default: int
    matches: int
    """How many MATCHes the way there has behind it."""


class _Walk:
    """One walk through a map, from its first bit to its last."""

    def __init__(self, data: bytes) -> None:
        bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
        bits += ord("0")
        self._bits = bits.tobytes()
        """A character for each bit: Python finds and reads them so faster than in any other form."""
        self._at = 0
        self._begin, self._left, self._default = 0, BITS, 0
        self._jumps: list[_Place] = []
        self._matches: list[tuple[int, int]] = []
        """For each MATCH on the way here the first address behind what it matches, and the number that begins there."""

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """First address and autonomous system of each piece, in ascending order.

        Raises:
            AsmapError: it is no such map.
        """
        before, short = JUMP, False
        while True:
            if self._jumps and self._at >= self._jumps[-1].offset:
                raise self._error("a jump leads into an instruction")
            kind = self._number(_TYPE)
            if before == DEFAULT and kind in (RETURN, DEFAULT):
                raise self._error("a default that nothing needs")
            if kind == RETURN:
                yield from self._return()
                if not self._jumps:
                    break
                self._go_on(self._jumps.pop())
                kind = JUMP
            elif kind == JUMP:
                self._jump()
            elif kind == MATCH:
                pattern = self._number(_PATTERN)
                length = pattern.bit_length() - 1
                if length < _WHOLE and short and before == MATCH:
                    raise self._error("two short matches in a row")
                short = length < _WHOLE
                yield self._begin, self._default
                self._match(length, pattern - (1 << length))
            else:
                self._default = self._number(_ASN)
            before = kind
        if len(self._bits) - self._at > _PADDING or b"1" in self._bits[self._at :]:
            raise self._error("it ends, but the file goes on")

    def _jump(self) -> None:
        distance = self._number(_DISTANCE)
        offset = self._at + distance
        if offset > len(self._bits):
            raise self._error("a jump beyond the end")
        self._read(1)
        if self._jumps and offset >= self._jumps[-1].offset:
            raise self._error("two jumps that cross")
        self._jumps.append(_Place(offset, self._begin + (1 << self._left), self._left, self._default, len(self._matches)))

    def _go_on(self, place: _Place) -> None:
        if self._at != place.offset:
            raise self._error("instructions that nothing leads to")
        self._begin, self._left, self._default = place.begin, place.left, place.default

    def _match(self, length: int, pattern: int) -> None:
        """Narrow the addresses down to those that match."""
        self._read(length)
        self._begin += pattern << self._left
        self._matches.append((self._begin + (1 << self._left), self._default))

    def _return(self) -> Iterator[tuple[int, int]]:
        """All addresses that come here have a number; behind them comes what did not match on the way here."""
        yield self._begin, self._number(_ASN)
        shared = self._jumps[-1].matches if self._jumps else 0
        while len(self._matches) > shared:
            border, default = self._matches.pop()
            if border < 1 << BITS:
                yield border, default

    def _read(self, bits: int) -> None:
        if self._left < bits:
            raise self._error(f"it reads more than {BITS} bits of an address")
        self._left -= bits

    def _number(self, kind: _Kind) -> int:
        """A number: a 1 for each class that is passed over, a 0 unless no class is left, and its place in the class."""
        last = len(kind) - 1
        stop = self._bits.find(b"0", self._at, self._at + last)
        passed = last if stop < 0 else stop - self._at
        least, size = kind[passed]
        begin = self._at + min(passed + 1, last)
        self._at = begin + size
        if self._at > len(self._bits):
            raise self._error("it ends within an instruction")
        return least + int(self._bits[begin : self._at], 2) if size else least

    def _error(self, why: str) -> AsmapError:
        return AsmapError(f"it is no asmap as Bitcoin Core takes it (at bit {self._at}: {why})")
