"""Which autonomous system an address belongs to, by a database in MaxMind's format that the operator provides.

The tree of the database is laid out flat when it is loaded, so that a lookup is a binary search; the record that it leads to is
read by `maxminddb`, once for each. Everything is in memory: a file that is overwritten in place harms nobody.
"""

from __future__ import annotations

import ipaddress
import re
from io import BytesIO
from typing import Any

import maxminddb
import numpy as np

from peerwatch.peers.ranges import Ranges
from peerwatch.schema.batch import Array
from peerwatch.wire.networks import IPV4_IN_IPV6

KEYS = ("autonomous_system_number", "asn", "as_number")
"""Names of the system in records, by publisher; some write 1234, others AS1234."""

MOST = (1 << 32) - 1
BITS, BITS_4 = 128, 32
LOW_64 = (1 << 64) - 1


class MmdbError(Exception):
    """It is no such database; the message says why."""


class Mmdb:
    """A database of autonomous systems."""

    def __init__(self, data: bytes) -> None:
        """Read the content of a file.

        Raises:
            MmdbError: it is no such database.
        """
        try:
            self._reader = maxminddb.open_database(BytesIO(data), maxminddb.MODE_FD)
            about = self._reader.metadata()
            children = _children(data, about.node_count, about.record_size)
        except Exception as error:  # the library lets pass what its own decoding of broken files raises
            raise MmdbError(f"it is no MaxMind database ({type(error).__name__})") from error
        self._ranges = _flat(children, BITS if about.ip_version == 6 else BITS_4)  # noqa: PLR2004 - a version
        self._known: dict[int, int] = {0: 0}
        """System by record."""

    def __len__(self) -> int:
        """Number of pieces into which it cuts all addresses."""
        return len(self._ranges)

    def lookup(self, ip: bytes) -> int:
        """The autonomous system of an address of 16 bytes, 0 for none. See netgroup.mappable."""
        is_ipv4 = ip.startswith(IPV4_IN_IPV6)
        record = self._ranges.of(bytes(len(IPV4_IN_IPV6)) + ip[len(IPV4_IN_IPV6) :] if is_ipv4 else ip)
        asn = self._known.get(record)
        if asn is None:
            asn = self._known[record] = self._read(ipaddress.ip_address(ip[len(IPV4_IN_IPV6) :] if is_ipv4 else ip))
        return asn

    def _read(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> int:
        try:
            return _asn(self._reader.get(address))
        except Exception:  # noqa: BLE001 - as in the constructor: a broken record tells nothing, but others may be whole
            return 0


def _asn(record: Any) -> int:
    for key in KEYS if isinstance(record, dict) else ():
        found = re.fullmatch(r"(?:AS)?(\d{1,10})", str(record.get(key)), re.ASCII)
        if found and int(found[1]) <= MOST:
            return int(found[1])
    return 0


def _children(data: bytes, nodes: int, record_size: int) -> Array:
    """Where each node of the tree leads to for a next bit of 0 and of 1: uint32, shape (nodes, 2)."""
    width = record_size // 4
    raw = np.frombuffer(data, np.uint8, nodes * width).reshape(nodes, width).astype(np.uint32)
    whole = record_size // 8
    left, right = raw[:, :whole], raw[:, -whole:]
    sides = [sum(side[:, nth] << 8 * (whole - 1 - nth) for nth in range(whole)) for side in (left, right)]
    if width % 2:  # the halves of the byte in the middle are the upper bits of both
        sides = [sides[0] + (raw[:, whole] >> 4 << 24), sides[1] + ((raw[:, whole] & 0xF) << 24)]
    return np.stack(sides, axis=1)


def _flat(children: Array, bits: int) -> Ranges:
    """The record that each address leads to, 0 for none; IPv4 addresses are where the database has them, at ::/96.

    The same addresses in their other forms, such as 2002::/16, are left out: they are looked up as what they wrap.
    """
    nodes = len(children)
    ipv4 = _ipv4_node(children) if bits == BITS else nodes
    node = np.zeros(min(nodes, 1), np.uint32)
    high = low = np.zeros(len(node), np.uint64)
    found = [_piece(1 << bits, 0) if bits < BITS else _piece(0, 0)]
    passed = 0
    for bit in reversed(range(bits)):
        passed += len(node)
        if passed > nodes:
            break
        to = children[node].T.reshape(-1)
        high, low = np.r_[high, high | np.uint64(1 << bit >> 64)], np.r_[low, low | np.uint64(1 << bit & LOW_64)]
        again = (to == ipv4) & (to < nodes) & ((high | low) != 0)
        ends = again | (to >= nodes)
        found.append((high[ends], low[ends], np.where(again | (to == nodes), np.uint32(0), to)[ends]))
        node, high, low = to[~ends], high[~ends], low[~ends]
    if len(node):
        raise MmdbError("it is a broken MaxMind database (its tree leads back into itself)")
    highs, lows, records = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((lows, highs))
    return Ranges(highs[order], lows[order], records[order])


def _piece(border: int, record: int) -> tuple[Array, Array, Array]:
    return np.array([border >> 64], np.uint64), np.array([border & LOW_64], np.uint64), np.array([record], np.uint32)


def _ipv4_node(children: Array) -> int:
    """The node at ::/96, or what is in its place."""
    node = 0
    for _ in range(BITS - BITS_4):
        node = int(children[node, 0]) if node < len(children) else node
    return node
