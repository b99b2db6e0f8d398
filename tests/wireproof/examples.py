"""Messages to compare decoders on: those of the captures, and those that the plain decoder's strategies make."""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from tests.reference.decode import layouts

CAPTURES = Path(__file__).parents[1] / "data/captures"

Message = tuple[str, bytes]
"""Type and payload."""

_HEAD = struct.pack("<iQq", 70016, 9, 1_760_000_000) + bytes(26)
_SENDER = bytes(26) + bytes(range(8))
_TX = struct.pack("<IB36sBIBQBI", 2, 1, bytes(36), 0, 0, 1, 5, 0, 0)

SPECIAL = {
    "version": [
        _HEAD,
        _HEAD + _SENDER,
        _HEAD + _SENDER + b"\0",
        _HEAD + _SENDER + b"\4a\xff\0b" + bytes(4) + b"\2",
        struct.pack("<iQqiI", 70016, 9, 1 << 40, 0, 0) + bytes(18) + _SENDER + b"\0" + bytes(4) + b"\1",
    ],
    "ping": [b""],
    "sendcmpct": [b"\2" + struct.pack("<Q", 2)],
    "headers": [b"\1" + bytes(80) + b"\7"],
    "addrv2": [bytes.fromhex("01 00000000 01 03 04 7f000001 208d")],
    "reject": [b"\2t\xff\1\0", b"\2tx\1\2\xff.", b"\2tx\1\0" + bytes(10), b"\4ping\1\0" + bytes(32)],
    "cmpctblock": [bytes(88) + b"\0\2\xfd\xff\xff" + _TX + b"\0" + _TX],
}
"""Payloads in which decoders are known to differ, whatever the strategies make: a `version` that ends after each of its parts,
that has a strange text and flag, or a far time; a `ping` without nonce; flags and counts other than 0 and 1; a Tor v2 address of
four bytes; a `reject` with texts that are none, with a hash cut short, or of something that has no hash; indexes beyond 16 bits.
"""


@cache
def captured() -> tuple[Message, ...]:
    """Every message of every capture, read plainly."""
    found = []
    for path in sorted(CAPTURES.glob("*/message_capture/*/msgs_*.dat")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            _, kind, size = struct.unpack_from("<Q12sI", data, at)
            at += 24 + size
            found.append((kind.rstrip(b"\0").decode(), data[at - size : at]))
    return tuple(found)


@cache
def made(kind: str, count: int = 20) -> tuple[bytes, ...]:
    """Valid payloads of one type, about so many and the same ones every time."""
    return tuple(examples(layouts()[kind].payloads(kind), count))


def examples(strategy: SearchStrategy[bytes], count: int) -> list[bytes]:
    """About so many examples of a strategy, the same ones every time, no two alike."""
    found: dict[bytes, None] = {}

    @seed(1)
    @settings(max_examples=count, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck), deadline=None)
    @given(strategy)
    def collect(example: bytes) -> None:
        found[example] = None

    collect()
    return list(found)
