"""Traffic of all message types, some of it broken: millions of messages quickly, because payloads are drawn from a pool.

A pool holds some hundred valid payloads of every type. A batch draws from it by shares, and changes a few of what it drew, each
in its own way. Which ones is known, so that what a dissector makes of a batch can be held against what it must be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from bench.mix import PEERS, START
from bench.mix import SHARES as MIXED
from bench.payloads import Payloads, counted
from peerwatch.schema.batch import SECOND, Array
from peerwatch.sources.simulation.pieces import Pieces
from peerwatch.wire.dissector import MAX_PROTOCOL_MESSAGE_LENGTH
from peerwatch.wire.raw import KNOWN_TYPES, PAD, RawMessages, TypeNames, printable

STRANGE = (b"zzz", b"replycheck", b"\x1b[2J")
"""Types that nobody knows."""

KINDS = (*KNOWN_TYPES, *(printable(name) for name in STRANGE))
OTHERS = 12
"""Share of a type that the mix does not have."""
SHARES = {kind: MIXED.get(kind, OTHERS) for kind in KINDS}
"""Shares of the types, of their sum: two thirds are as the mix has them, and the rest is everything else."""

POOL = 400
"""Payloads of each type."""
BATCH = 1 << 15
"""Messages of a batch."""

BUSY = 100_000
"""Messages a second."""

COUNTS = (0, 1, 252, 253, 1001, 50_001, 1 << 16, 1 << 25, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
PLACES = (0, 0, 0, 4, 32, 33, 41, 65, 80, 88, -1)
"""Where the layouts have their counts, mostly; -1 for anywhere."""
HUGE = 32_000_000
"""Bytes that a header may claim (Core's limit before v0.14; far more than it takes now)."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages, the pool's payload that each was drawn as (int64), and which were changed (int64, ascending)."""

    messages: RawMessages
    drawn: Array
    changed: Array


class Traffic:
    """Makes batches. The same seed gives the same ones."""

    def __init__(self, seed: int = 1, pool: int = POOL) -> None:
        """Fill the pool with so many payloads of each type."""
        self._rng = np.random.default_rng(seed)
        payloads = Payloads(seed)
        made = [payloads.make(kind, pool).compacted() for kind in KINDS]
        names = TypeNames()
        self.kind = np.repeat([names.code(name) for name in (*(k.encode() for k in KNOWN_TYPES), *STRANGE)], pool).astype(
            np.int16
        )
        """Type of each payload of the pool."""
        self.pool = Pieces.joined(made)
        """The payloads."""
        self.names = names.names
        """Names of the types."""
        self._shares = np.array(list(SHARES.values())) / sum(SHARES.values())
        self._each = pool
        self._seq, self._ts = 0, START

    def batches(self, count: int, changed: float = 0.01, size: int = BATCH) -> Iterator[Batch]:
        """So many messages in all, a fraction of them changed."""
        for first in range(0, count, size):
            yield self.batch(min(size, count - first), changed)

    def batch(self, count: int, changed: float = 0.01) -> Batch:
        """So many messages, a fraction of them changed."""
        rng = self._rng
        drawn = rng.choice(len(KINDS), count, p=self._shares) * self._each + rng.integers(0, self._each, count)
        which = np.flatnonzero(rng.random(count) < changed)
        start, size = self.pool.start[drawn], self.pool.size[drawn]
        kept, unreadable = size.copy(), np.zeros(count, bool)
        tail: list[bytes] = []
        at = len(self.pool.buf)
        view = self.pool.buf.data
        for i in which.tolist():
            way = WAYS[int(rng.integers(len(WAYS)))]
            payload, sent = changed_payload(bytes(view[start[i] : start[i] + size[i]]), way, rng)
            tail.append(payload)
            start[i], kept[i], size[i], unreadable[i] = at, len(payload), sent, way == "unreadable"
            at += len(payload)
        end = np.frombuffer(b"".join(tail) + bytes(PAD), np.uint8)
        ts = self._ts + np.cumsum(rng.exponential(SECOND / BUSY, count)).astype(np.int64)
        seq = np.arange(self._seq, self._seq + count)
        self._ts, self._seq = int(ts[-1]) if count else self._ts, self._seq + count
        peer, inbound = rng.integers(0, PEERS, count), rng.random(count) < 0.5
        buf = np.concatenate([self.pool.buf, end])
        messages = RawMessages(buf, ts, seq, peer, inbound, self.kind[drawn], size, kept, start, unreadable, self.names)
        return Batch(messages, drawn, which)


def changed_payload(payload: bytes, way: str, rng: np.random.Generator) -> tuple[bytes, int]:
    """A payload changed in one of the WAYS: what is kept of it, and its size on the wire."""
    at = int(rng.integers(len(payload) + 1))
    if way == "kept":
        return payload[:at], len(payload)
    if way == "claim":
        return payload, int(rng.integers(MAX_PROTOCOL_MESSAGE_LENGTH + 1, HUGE))
    if way == "unreadable":
        return b"", len(payload)
    sent = _DAMAGE[way](payload, at, rng)
    return sent, len(sent)


def _flip(payload: bytes, _at: int, rng: np.random.Generator) -> bytes:
    bits = bytearray(payload or b"\0")
    for bit in rng.integers(0, 8 * len(bits), int(rng.integers(1, 5))).tolist():
        bits[bit // 8] ^= 1 << bit % 8
    return bytes(bits)


def _count(payload: bytes, at: int, rng: np.random.Generator) -> bytes:
    place = PLACES[int(rng.integers(len(PLACES)))]
    place = at if place < 0 else place
    return payload[:place] + counted(COUNTS[int(rng.integers(len(COUNTS)))]) + payload[place + 1 :]


def _noise(rng: np.random.Generator) -> bytes:
    return rng.bytes(int(rng.integers(1, 40)))


_DAMAGE: dict[str, Callable[[bytes, int, np.random.Generator], bytes]] = {
    "flip": _flip,
    "cut": lambda payload, at, _rng: payload[:at],
    "put": lambda payload, at, rng: payload[:at] + _noise(rng) + payload[at:],
    "take": lambda payload, at, rng: payload[:at] + payload[at + int(rng.integers(1, 40)) :],
    "count": _count,
    "trail": lambda payload, _at, rng: payload + _noise(rng),
}
WAYS = (*_DAMAGE, "kept", "claim", "unreadable")
"""How a message is changed: bits flipped, cut by its sender, bytes put in or taken out, a count replaced, bytes behind its end;
and what happens to us: cut when it was kept, a size beyond all bounds, a payload that could not be read."""
