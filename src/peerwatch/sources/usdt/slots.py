"""What BPF and user space share by mapped memory: counters of each traced process, and the capture limits.

Nothing here needs a privilege or libbpf: the descriptors are inherited, and the maps are mapped. The reader could write to them;
BPF therefore clamps every limit, and whoever must not trust the reader must not trust these counters either.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from peerwatch.schema.batch import Array

MAX_SLOTS = 8192
"""Processes that one load can tell apart; restarts included. Hits of later ones are counted in `Control.unassigned`."""
MAX_LIMIT = 4 << 20
"""No limit is greater; Core's MAX_PROTOCOL_MESSAGE_LENGTH is 4,000,000 bytes."""
MAX_LIMITS = 128
"""Message types that can have a limit of their own."""
TYPE_BYTES = 12
"""A message type on the wire (Core's CMessageHeader::MESSAGE_TYPE_SIZE)."""
ADDED, SPENT, UNCACHED = 0, 1, 2
"""Positions in a slot's `counted`: coins added to, spent from and removed from the UTXO cache."""

SLOT = np.dtype(
    [
        ("seen", "<u8"),  # records begun: the next sequence number
        ("sent", "<u8"),  # records in the ring; seen - sent - dropped are being written at this moment
        ("dropped", "<u8"),  # records for which the ring had no space
        ("dropped_bytes", "<u8"),  # size on the wire of the messages among them
        ("unreadable", "<u8"),  # records sent with the flag UNREADABLE
        ("first_ns", "<u8"),  # CLOCK_MONOTONIC of the first hit
        ("tgid", "<u4"),  # process id in the initial namespace; 0: no process
        ("unused", "<u4"),
        ("reserved", "<u8"),
        ("counted", "<u8", (8,)),  # ADDED, SPENT, UNCACHED
    ]
)

LIMIT_BITS = 10
_LIMIT = np.dtype([("type", "<u8", (2,)), ("limit", "<u8", (2,))])  # of messages received, and sent
_LIMITS = np.dtype([("multiplier", "<u8"), ("other", "<u8"), ("table", _LIMIT, (1 << LIMIT_BITS,))])
CONTROL = np.dtype(
    [("unassigned", "<u8"), ("ring_id", "<u8"), ("active", "<u8"), ("unused", "<u8", (5,)), ("limits", _LIMITS, (2,))]
)
_CANDIDATES = 1024
_MAX_CANDIDATES = 1 << 20


@dataclass(frozen=True, slots=True)
class CaptureLimits:
    """Bytes kept of messages: `by_type`, `default` of all other types, and `sent` of those sent by the node, where it differs."""

    by_type: Mapping[str, int]
    default: int
    sent: Mapping[str, int] = field(default_factory=dict)


def _mapped(fd: int, size: int, access: int) -> mmap.mmap:
    pages = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
    return mmap.mmap(fd, pages, mmap.MAP_SHARED, access)


class Slots:
    """The slot table, read only."""

    def __init__(self, fd: int) -> None:
        """Map the `slots` map. Raises OSError."""
        self.live: Array = np.frombuffer(_mapped(fd, MAX_SLOTS * SLOT.itemsize, mmap.PROT_READ), SLOT, MAX_SLOTS)
        """Shape (MAX_SLOTS,), changing under the reader."""

    def used(self) -> Array:
        """Numbers of the slots that have a process."""
        return np.flatnonzero(self.live["tgid"])

    def copy(self, slots: Array) -> Array:
        """The counters of some slots now, same order; sent + dropped never exceed seen."""
        rows = self.live[slots]
        rows["seen"] = self.live["seen"][slots]  # read after what it is the sum of
        return rows


class Control:
    """Ring identity, hits without a slot, and the capture limits."""

    def __init__(self, fd: int) -> None:
        """Map the `control` map. Raises OSError."""
        self._control = np.frombuffer(_mapped(fd, CONTROL.itemsize, mmap.PROT_READ | mmap.PROT_WRITE), CONTROL, 1)[0]

    @property
    def unassigned(self) -> int:
        """Hits that were not recorded because all slots were taken."""
        return int(self._control["unassigned"])

    @property
    def ring_id(self) -> int:
        """A number that no other ring has; a recorded position means nothing in another ring."""
        return int(self._control["ring_id"])

    @ring_id.setter
    def ring_id(self, value: int) -> None:
        self._control["ring_id"] = value

    def set_limits(self, limits: Mapping[str, int], default: int = MAX_LIMIT, sent: Mapping[str, int] | None = None) -> None:
        """Keep at most `limits[type]` bytes of a payload, `default` of every other type; in force from the next message on.

        Of messages that the node sent it is `sent[type]`, for those types of `limits` that it names.

        Raises ValueError for a negative limit, a type that is no message type, or more than `MAX_LIMITS` of them.
        """
        values = [(min(n, MAX_LIMIT), min((sent or {}).get(name, n), MAX_LIMIT)) for name, n in limits.items()]
        default = min(default, MAX_LIMIT)
        if min(default, *chain.from_iterable(values), 0) < 0 or len(limits) > MAX_LIMITS:
            raise ValueError(f"limits must be at least 0, and for at most {MAX_LIMITS} message types")
        words = np.array([_type_words(name) for name in limits], np.uint64).reshape(-1, 2)
        multiplier, places = _perfect_hash(words)
        idle = 1 - (int(self._control["active"]) & 1)
        table = self._control["limits"][idle]
        table["table"] = np.zeros((), _LIMIT)
        table["table"]["type"][places] = words
        table["table"]["limit"] = default
        table["table"]["limit"][places] = np.array(values, np.uint64).reshape(-1, 2)
        table["multiplier"], table["other"] = multiplier, default
        self._control["active"] = idle


def _type_words(name: str) -> tuple[int, int]:
    raw = name.encode()
    if not 0 < len(raw) <= TYPE_BYTES or b"\0" in raw:
        raise ValueError(f"{name!r} is no message type")
    padded = raw.ljust(16, b"\0")
    return int.from_bytes(padded[:8], "little"), int.from_bytes(padded[8:], "little")


def _perfect_hash(words: Array) -> tuple[int, Array]:
    """A multiplier under which no two types share a place in the table, and their places; as `capture_limit` in trace.bpf.c."""
    folded = words[:, 0] ^ words[:, 1] << np.uint64(13)
    shift = np.uint64(64 - LIMIT_BITS)
    for first in range(0, _MAX_CANDIDATES, _CANDIDATES):
        candidates = np.arange(first, first + _CANDIDATES, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) | np.uint64(1)
        places = folded[None, :] * candidates[:, None] >> shift
        ordered = np.sort(places, axis=1)
        good = np.flatnonzero((ordered[:, 1:] != ordered[:, :-1]).all(axis=1))
        if len(good):
            return int(candidates[good[0]]), places[good[0]].astype(np.int64)
    raise ValueError("these message types collide in every hash")
