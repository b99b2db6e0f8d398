"""Requests, possible answers, and what became of requests, in columns: what a matcher (matcher.py) takes and gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from peerwatch.schema.batch import Array

KEY_BITS = 44
"""Bits of a key that are used."""

_GOLDEN, _SPREAD = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
_SHIFT = np.uint64(32)


def keys(peers: Array, sides: Array, items: Array) -> Array:
    """Keys (uint64, 44 bits used) of what `sides` (1: the peer) ask for on connections with `peers`; `items` are uint64.

    Two different requests may have the same key, and the later then supersedes the earlier: by chance one in 10^9 times, when
    16,000 wait.
    """
    word = items ^ ((peers * 2 + sides).astype(np.uint64) * _GOLDEN)
    word = (word ^ (word >> _SHIFT)) * _SPREAD
    word = (word ^ (word >> _SHIFT)) * _SPREAD
    return np.asarray(word >> np.uint64(64 - KEY_BITS))


class Why(IntEnum):
    """How a request ended."""

    ANSWERED = 0
    UNANSWERED = 1
    SUPERSEDED = 2
    CLOSED = 3
    FORGOTTEN = 4


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests in columns, by ordinal.

    `side` is 1 when the peer asks; `now` is the clock (ns) at that event; `kind` is the owner's.
    """

    key: Array
    ordinal: Array
    ts: Array
    seq: Array
    peer: Array
    side: Array
    kind: Array
    now: Array

    def __len__(self) -> int:
        """Number of requests."""
        return len(self.ordinal)

    def take(self, index: Array | slice) -> Requests:
        """Some of them."""
        return Requests(*(getattr(self, name)[index] for name in COLUMNS))

    @classmethod
    def joined(cls, parts: Sequence[Requests]) -> Requests:
        """All of them; those of one event in the order given."""
        if len(parts) == 1:
            return parts[0]
        whole = cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in COLUMNS)) if parts else cls.none()
        return whole.take(np.argsort(whole.ordinal, kind="stable"))

    @classmethod
    def none(cls, count: int = 0) -> Requests:
        """Room for so many requests."""
        return cls(np.zeros(count, np.uint64), *(np.zeros(count, np.int64) for _ in COLUMNS[1:]))


COLUMNS = tuple(f.name for f in fields(Requests))


@dataclass(frozen=True, slots=True)
class Answers:
    """Possible answers, by ordinal: the `key` of what each would answer."""

    key: Array
    ordinal: Array

    def __len__(self) -> int:
        """Number of answers."""
        return len(self.ordinal)

    def take(self, index: slice) -> Answers:
        """Some of them."""
        return Answers(self.key[index], self.ordinal[index])


@dataclass(frozen=True, slots=True)
class Ended:
    """Requests that ended: `why` (Why), `at` which ordinal, and by which of the `answer`s given (index, -1 if by none)."""

    requests: Requests
    why: Array
    at: Array
    answer: Array


Lost = tuple[Array, Array, Array]
"""Requests that were forgotten because so many came after them: their peers and kinds, and the ordinals of that."""


class Result(NamedTuple):
    """What became of requests. A request is in `ended` or `lost` once; some that were forgotten are in `ended`."""

    ended: Ended
    lost: Lost
