"""Raw messages: what a source hands over before anything is dissected.

One byte buffer with all payloads in it, and columns that say what lies where. A source never looks into a payload.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from peerwatch.schema.batch import Array

PAD = 64
"""Zero bytes that every buffer has after its last payload, so that fixed-width reads at its end stay inside."""

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
        near = np.minimum(np.searchsorted(_KNOWN_MIXED, _mix(words)), len(_KNOWN_MIXED) - 1)
        codes = np.asarray(_KNOWN_CODES[near])
        # A peer can make up a type whose mix equals that of a known one: the bytes decide.
        strange = np.flatnonzero((words != _KNOWN_WORDS[near]).any(axis=1))
        if len(strange):
            names = padded[strange].view("S16")[:, 0].tolist()
            codes[strange] = [self.code(name.split(b"\0", 1)[0]) for name in names]
        return codes


def _mix(words: Array) -> Array:
    """One 64-bit word out of the two words of a type."""
    return np.asarray(words[:, 0] ^ (words[:, 1] * np.uint64(0x9E3779B97F4A7C15)))


_known = np.array([name.encode() for name in KNOWN_TYPES], "S16").view("<u8").reshape(-1, 2)
_KNOWN_CODES = np.argsort(_mix(_known)).astype(np.int16)
_KNOWN_WORDS = _known[_KNOWN_CODES]
_KNOWN_MIXED = _mix(_KNOWN_WORDS)


def printable(raw: bytes) -> str:
    r"""Bytes from a peer as text that is safe to store and show: ASCII as it is, everything else as `\xNN`."""
    return "".join(chr(b) if 32 <= b < 127 and b != 92 else f"\\x{b:02x}" for b in raw)  # noqa: PLR2004 - ASCII; 92 is the backslash


@dataclass(frozen=True, slots=True)
class RawMessages:
    """Messages in order of arrival. Every column has one entry a message:

    `ts` (int64, ns UTC), `seq` (int64), `peer` (int64), `inbound` (bool), `type` (int16, index into `names`), `size` (int64,
    bytes on the wire), `kept` (int64, bytes of it in `buf`, at most size), `start` (int64, where they begin in `buf`),
    `unreadable` (bool; kept is 0 then). `buf` (uint8) has `PAD` zero bytes after the last payload.
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
