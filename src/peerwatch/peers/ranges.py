"""Numbers by range of address: which autonomous system an address belongs to, or whether it is on a list.

The whole space of 2^128 addresses is cut at sorted borders, and each piece has a number. A border takes 20 bytes, and to look an
address up is a binary search. IPv4 addresses are in there in their mapped form (::ffff:a.b.c.d).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

import numpy as np

from peerwatch.schema.batch import Array

_ADDRESS = "S16"
"""As texts of NumPy addresses compare as they should: it takes what is shorter as filled up with zeros."""

_LOW_64 = (1 << 64) - 1


class Ranges:
    """A number (32 bits) for every address."""

    def __init__(self, high: Array, low: Array, numbers: Array) -> None:
        """Take the pieces in ascending order; what lies before the first one has the number 0.

        Args:
            high: first 64 bits of the first address of each piece (uint64).
            low: the other 64 bits (uint64).
            numbers: number of each piece (uint32); of pieces with the same first address the last one counts.
        """
        high, low, numbers = np.r_[np.uint64(0), high], np.r_[np.uint64(0), low], np.r_[np.uint32(0), numbers]
        last = np.r_[(high[1:] != high[:-1]) | (low[1:] != low[:-1]), True].nonzero()[0]
        kept = last[np.r_[True, numbers[last][1:] != numbers[last][:-1]]]
        self._borders = np.stack([high[kept], low[kept]], axis=1).astype(">u8").view(_ADDRESS)[:, 0]
        self._numbers = numbers[kept]

    @classmethod
    def of_pieces(cls, pieces: Iterable[tuple[int, int]]) -> Ranges:
        """As the constructor, of the first address (as a number) and the number of each piece."""
        words, numbers = array("Q"), array("I")
        for border, number in pieces:
            words.append(border >> 64)
            words.append(border & _LOW_64)
            numbers.append(number)
        halves = np.frombuffer(words, np.uint64).reshape(-1, 2)
        return cls(halves[:, 0], halves[:, 1], np.frombuffer(numbers, np.uint32))

    def __len__(self) -> int:
        """Number of pieces, of which no two neighbours have the same number."""
        return len(self._numbers)

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return int(self._borders.nbytes + self._numbers.nbytes)

    def of(self, ip: bytes) -> int:
        """The number of an address of 16 bytes."""
        at = int(np.searchsorted(self._borders, np.frombuffer(ip, _ADDRESS), side="right")[0])
        return int(self._numbers[at - 1])
