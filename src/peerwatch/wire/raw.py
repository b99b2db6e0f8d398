"""Raw messages: what a source hands over before anything is dissected.

One byte buffer with all payloads in it, and columns that say what lies where. A source never looks into a payload.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from peerwatch.schema.batch import Array

PAD = 64
"""Bytes that every buffer has after its last payload, whatever they are, so that fixed-width reads at its end stay inside."""

KNOWN_TYPES = (
    "version", "verack", "addr", "addrv2", "sendaddrv2", "getaddr", "inv", "getdata", "notfound", "tx", "block", "headers",
    "getheaders", "getblocks", "sendheaders", "cmpctblock", "sendcmpct", "getblocktxn", "blocktxn", "ping", "pong", "feefilter",
    "mempool", "reject", "wtxidrelay", "sendtxrcncl", "reqrecon", "sketch", "reqsketchext", "reconcildiff", "filterload",
    "filteradd", "filterclear", "merkleblock", "getcfilters", "cfilter", "getcfheaders", "cfheaders", "getcfcheckpt", "cfcheckpt",
    "alert", "sendpackages", "getpkgtxns", "pkgtxns", "ancpkginfo", "feature",
)  # fmt: skip
"""Message types known by name; a type's code is its position here."""

UNKNOWN_NAMES = 256
"""Unknown type names that one source tells apart; a peer may invent any number of them."""

OTHER = "*other*"
"""Stands for every unknown type beyond that bound."""


class TypeNames:
    """Codes for message types: fixed for the known ones, handed out in order of appearance for the others, bounded."""

    def __init__(self) -> None:
        """Start with the known types and `*other*`."""
        self.names: list[str] = [*KNOWN_TYPES, OTHER]
        # A peer may send `*other*` itself: it must not get a second entry of that name.
        self._codes: dict[bytes, int] = {name.encode(): code for code, name in enumerate(self.names)}

    def code(self, name: bytes) -> int:
        """The code of a type as it stands on the wire (NUL padding removed)."""
        found = self._codes.get(name)
        if found is not None:
            return found
        if len(self.names) - len(KNOWN_TYPES) - 1 >= UNKNOWN_NAMES:
            return len(KNOWN_TYPES)
        self.names.append(printable(name))
        self._codes[name] = len(self.names) - 1
        return len(self.names) - 1

    def codes(self, padded: Array) -> Array:
        """Codes (int16) of types as they stand on the wire, NUL-padded to 16 bytes (uint8, shape (n, 16), contiguous).

        A type ends at its first NUL. New types get their codes in order of appearance, so that batching does not matter.
        """
        words = padded.view("<u8")
        first, second = words[:, 0].copy(), words[:, 1].copy()
        codes: Array = _CODES.take(_slots(first, second, _SPREAD))
        known = codes.astype(np.intp)
        # Any type may fall on the slot of a known one: the bytes decide.
        strange = np.flatnonzero((first != _FIRST.take(known)) | (second != _SECOND.take(known)))
        if len(strange):
            names = padded[strange].view("S16")[:, 0].tolist()
            codes[strange] = [self.code(name.split(b"\0", 1)[0]) for name in names]
        return codes


_SLOT_BITS = 11
"""Slots for known types: some 2000, so that one of the first few multipliers gives each type a slot of its own."""


def _slots(first: Array, second: Array, spread: np.uint64) -> Array:
    """The slot of types given as two 64-bit words (int64): the upper bits of a product."""
    mixed = (first ^ second * np.uint64(0x9E3779B97F4A7C15)) * spread >> np.uint64(64 - _SLOT_BITS)
    return np.asarray(mixed.view(np.int64))


def _spread_apart(first: Array, second: Array) -> np.uint64:
    """The first of a sequence of odd multipliers under which no two types have the same slot."""
    multipliers = (np.uint64(0xD6E8FEB86659FD93 * odd % 2**64) for odd in itertools.count(1, 2))
    return next(m for m in multipliers if len(np.unique(_slots(first, second, m))) == len(first))


_FIRST, _SECOND = np.array([name.encode() for name in KNOWN_TYPES], "S16").view("<u8").reshape(-1, 2).T.copy()
_SPREAD = _spread_apart(_FIRST, _SECOND)
_CODES = np.zeros(1 << _SLOT_BITS, np.int16)
_CODES[_slots(_FIRST, _SECOND, _SPREAD)] = np.arange(len(KNOWN_TYPES))


def printable(raw: bytes) -> str:
    r"""Bytes from a peer as text that is safe to store and show: ASCII as it is, everything else as `\xNN`."""
    return "".join(chr(b) if 32 <= b < 127 and b != 92 else f"\\x{b:02x}" for b in raw)  # noqa: PLR2004 - ASCII; 92 is the backslash


@dataclass(frozen=True, slots=True)
class RawMessages:
    """Messages in order of arrival. Every column has one entry a message:

    `ts` (int64, ns UTC), `seq` (int64), `peer` (int64), `inbound` (bool), `type` (int16, index into `names`), `size` (int64,
    bytes on the wire), `kept` (int64, bytes of it in `buf`, at most size), `start` (int64, where they begin in `buf`),
    `unreadable` (bool; kept is 0 then). `buf` (uint8) has `PAD` bytes of anything after the last payload. It may be the source's
    own memory, which holds until the source's `commit`: whoever wants to keep bytes copies them.
    """

    buf: Array
    ts: Array
    seq: Array
    peer: Array
    inbound: Array
    type: Array
    size: Array
    kept: Array
    start: Array
    unreadable: Array
    names: list[str]

    def __len__(self) -> int:
        """Number of messages."""
        return len(self.ts)

    def slice(self, first: int, stop: int) -> RawMessages:
        """Messages first … stop-1, without copying."""
        s = slice(first, stop)
        return RawMessages(
            self.buf, self.ts[s], self.seq[s], self.peer[s], self.inbound[s], self.type[s],
            self.size[s], self.kept[s], self.start[s], self.unreadable[s], self.names,
        )  # fmt: skip

    @classmethod
    def none(cls, names: list[str] | None = None) -> RawMessages:
        """No messages."""
        i64 = np.zeros(0, np.int64)
        no = np.zeros(0, bool)
        return cls(
            np.zeros(PAD, np.uint8), i64, i64, i64, no, np.zeros(0, np.int16), i64, i64, i64, no, names or TypeNames().names
        )
