"""Databases in MaxMind's format (MaxMind DB File Format Specification 2.0) of any records, for tests: an encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Prefixes = Mapping[str, Any]
"""Records by the bits that addresses begin with; of several the longest counts."""

IPV4 = "0" * 96
"""Where IPv4 addresses are in a database of both."""


def encode(prefixes: Prefixes, *, version: int = 6, record_size: int = 28, aliases: tuple[str, ...] = ()) -> bytes:
    """A database. `aliases` are prefixes (bits) that lead to the node of IPV4, too."""
    nodes: list[list[Any]] = [[None, None]]
    for prefix, record in sorted(prefixes.items(), key=lambda item: len(item[0])):
        _put(nodes, prefix, ("record", record))
    if aliases:
        node = 0
        for _ in IPV4:
            node = nodes[node][0]
        for prefix in aliases:
            _put(nodes, prefix, node)
    data = bytearray()
    places: dict[str, int] = {}
    tree = bytearray()
    for node in nodes:
        values = []
        for side in node:
            if isinstance(side, tuple) and repr(side[1]) not in places:
                places[repr(side[1])] = len(data)
                data += value(side[1])
            at = len(nodes) + 16 + places[repr(side[1])] if isinstance(side, tuple) else side
            values.append(len(nodes) if side is None else at)
        tree += _node(values[0], values[1], record_size)
    about = {
        "node_count": len(nodes),
        "record_size": record_size,
        "ip_version": version,
        "database_type": "test",
        "languages": ["en"],
        "binary_format_major_version": 2,
        "binary_format_minor_version": 0,
        "build_epoch": 1_700_000_000,
        "description": {"en": "For tests"},
    }
    return bytes(tree) + bytes(16) + bytes(data) + b"\xab\xcd\xefMaxMind.com" + value(about)


def _put(nodes: list[list[Any]], prefix: str, what: Any) -> None:
    node = 0
    for bit in prefix[:-1]:
        below = nodes[node][int(bit)]
        if not isinstance(below, int):  # nothing, or the record of a shorter prefix: it holds for both sides
            nodes.append([below, below])
            below = nodes[node][int(bit)] = len(nodes) - 1
        node = below
    nodes[node][int(prefix[-1])] = what


def _node(left: int, right: int, record_size: int) -> bytes:
    if record_size != 28:
        return left.to_bytes(record_size // 8, "big") + right.to_bytes(record_size // 8, "big")
    middle = left >> 24 << 4 | right >> 24
    return (left & 0xFFFFFF).to_bytes(3, "big") + bytes([middle]) + (right & 0xFFFFFF).to_bytes(3, "big")


def value(what: Any) -> bytes:
    """A value of the data section: map, array, text or a number of 32 bits."""
    if isinstance(what, dict):
        return _head(7, len(what)) + b"".join(value(key) + value(of) for key, of in what.items())
    if isinstance(what, list):
        return _head(11, len(what)) + b"".join(map(value, what))
    if isinstance(what, str):
        return _head(2, len(what.encode())) + what.encode()
    raw = what.to_bytes((what.bit_length() + 7) // 8, "big")
    return _head(6, len(raw)) + raw


def _head(kind: int, size: int) -> bytes:
    assert size < 29 + 256
    more = bytes([size - 29]) if size >= 29 else b""
    size = min(size, 29)
    return (bytes([kind << 5 | size]) if kind < 8 else bytes([size, kind - 7])) + more
