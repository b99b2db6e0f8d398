"""Writes P2P messages into a capture file that any network analyser reads: one TCP stream to port 8333, in the classic format.

Source: the pcap file format (pcap-savefile(5)), RFC 791, RFC 9293; Core, protocol.h: CMessageHeader.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from pathlib import Path

MAGIC = bytes.fromhex("f9beb4d9")
"""Start of a message on mainnet (Core, kernel/chainparams.cpp)."""
PORT = 8333
SEGMENT = 60_000
"""Payload bytes of a TCP segment at most; an IP packet holds 65,535 with its headers."""

_RAW_IP = 101
_FILE_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, _RAW_IP)
_ENDS = bytes([10, 0, 0, 1, 10, 0, 0, 2])
_TCP = 6


def framed(kind: str, payload: bytes) -> bytes:
    """A message as it stands on the wire."""
    checksum = hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]
    return MAGIC + kind.encode().ljust(12, b"\0") + struct.pack("<I", len(payload)) + checksum + payload


def write_pcap(path: Path, messages: Iterable[tuple[str, bytes]]) -> list[int]:
    """Write messages (type, payload), each in segments of its own.

    Returns:
        For each message, the number of the frame in which it ends; frames count from 1.
    """
    frames: list[int] = []
    at, number = 1, 0
    with path.open("wb") as file:
        file.write(_FILE_HEADER)
        for kind, payload in messages:
            wire = framed(kind, payload)
            for first in range(0, len(wire), SEGMENT):
                packet = _packet(wire[first : first + SEGMENT], at + first, number)
                file.write(struct.pack("<IIII", number // 1000, number % 1000 * 1000, len(packet), len(packet)) + packet)
                number += 1
            at += len(wire)
            frames.append(number)
    return frames


def _packet(data: bytes, at: int, number: int) -> bytes:
    """An IP packet with a TCP segment whose first byte is the `at`-th of the stream."""
    tcp = struct.pack(">HHIIBBHHH", 40_000, PORT, at & 0xFFFFFFFF, 1, 5 << 4, 0x18, 0xFFFF, 0, 0) + data
    pseudo = _ENDS + struct.pack(">HH", _TCP, len(tcp))
    tcp = tcp[:16] + struct.pack(">H", _checksum(pseudo + tcp)) + tcp[18:]
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), number & 0xFFFF, 0, 64, _TCP, 0) + _ENDS
    return head[:10] + struct.pack(">H", _checksum(head)) + head[12:] + tcp


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    padded = data + b"\0" * (len(data) % 2)
    return 0xFFFF - int.from_bytes(padded, "big") % 0xFFFF
