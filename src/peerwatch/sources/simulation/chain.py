"""The block chain as far as messages speak of it: heights, hashes and headers that link up. Nothing of it has proof of work."""

from __future__ import annotations

import hashlib
import struct
from collections import deque

import numpy as np

from peerwatch.schema.batch import SECOND

_REFERENCE = (1_735_689_600, 877_260)
"""A time (s) and the height of mainnet then (1 January 2025)."""

_TARGET_SPACING_S = 600
_VERSION = 0x20000000
_BITS = 0x17028281
_KEPT = 31
"""Blocks that are remembered. A locator at mainnet's height names some thirty (Core: LocatorEntries), ours the last thirty."""


def sha256d(data: bytes | memoryview) -> bytes:
    """SHA-256 twice, as Bitcoin's ids are made."""
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


class Chain:
    """Grows by a header at a time.

    Attributes:
        height: of the tip.
    """

    def __init__(self, rng: np.random.Generator, start: int) -> None:
        """A chain as old as it would be at `start` (ns)."""
        seconds, height = _REFERENCE
        self._rng = rng
        self.height = height + (start // SECOND - seconds) // _TARGET_SPACING_S - _KEPT
        self._hashes: deque[bytes] = deque([rng.bytes(32)], _KEPT)
        self._headers: deque[bytes] = deque(maxlen=_KEPT)
        for n in range(_KEPT, 0, -1):
            self.grow(start - n * _TARGET_SPACING_S * SECOND)

    @property
    def tip(self) -> bytes:
        """Hash of the best block, in the order of the wire."""
        return self._hashes[-1]

    @property
    def header(self) -> bytes:
        """Header of the best block, 80 bytes."""
        return self._headers[-1]

    def grow(self, at: int) -> None:
        """A block is found at `at` (ns)."""
        head = self.make_header(self.tip, at)
        self._headers.append(head)
        self._hashes.append(sha256d(head))
        self.height += 1

    def make_header(self, previous: bytes, at: int) -> bytes:
        """A header on top of `previous`, with a random Merkle root."""
        root, nonce = self._rng.bytes(32), int(self._rng.integers(0, 1 << 32))
        return struct.pack("<I32s32sIII", _VERSION, previous, root, max(0, at // SECOND), _BITS, nonce)

    def getheaders(self) -> bytes:
        """A `getheaders` with a locator from the block before the tip, as Core asks, so that the answer is never empty."""
        known = list(self._hashes)[-2::-1]
        return struct.pack("<IB", 70016, len(known)) + b"".join(known) + bytes(32)

    def last_headers(self) -> bytes:
        """A `headers` with the tip alone."""
        return headers(self.header)


def headers(*items: bytes) -> bytes:
    """A `headers` message of a few headers: each with its (zero) count of transactions."""
    return bytes([len(items)]) + b"".join(item + b"\0" for item in items)
