"""Networks that an address can belong to, and how their addresses look inside of 16 bytes."""

from __future__ import annotations

import numpy as np

from peerwatch.schema.batch import Array

NETWORKS = ("unknown", "ipv4", "ipv6", "torv2", "torv3", "i2p", "cjdns")
"""Labels by BIP 155 network id; 0 and ids beyond are not named there."""
UNKNOWN, IPV4, IPV6, TORV2, TORV3, I2P, CJDNS = range(len(NETWORKS))

NETWORK_BYTES = (0, 4, 16, 10, 32, 32, 16)
"""Length of an address by network id (BIP 155)."""
TORV2_BYTES = NETWORK_BYTES[TORV2]

IPV4_IN_IPV6 = bytes.fromhex("00000000000000000000ffff")
"""::ffff:0:0/96, IPv4-mapped (RFC 4291; Core, netaddress.h: IPV4_IN_IPV6_PREFIX)."""
TORV2_IN_IPV6 = bytes.fromhex("fd87d87eeb43")
"""fd87:d87e:eb43::/48 (OnionCat; Core, netaddress.h: TORV2_IN_IPV6_PREFIX)."""

_MAPPED_LOW = int.from_bytes(IPV4_IN_IPV6[8:], "little")
_LOW_4 = np.uint64(0xFFFFFFFF)


def is_mapped(ip: Array) -> Array:
    """Mask of the addresses (uint8, shape (n, 16), contiguous) that are IPv4-mapped."""
    words = ip.view("<u8")
    return np.asarray((words[:, 0] == 0) & ((words[:, 1] & _LOW_4) == _MAPPED_LOW))


def starts_with(ip: Array, prefix: bytes) -> Array:
    """Mask of the addresses (uint8, shape (n, 16), contiguous) that begin with `prefix` (at most 8 bytes)."""
    mask = np.uint64((1 << 8 * len(prefix)) - 1)
    return np.asarray((ip.view("<u8")[:, 0] & mask) == int.from_bytes(prefix, "little"))


def mapped(ipv4: Array) -> Array:
    """IPv4 addresses (uint8, shape (n, 4)) as IPv4-mapped ones of 16 bytes."""
    ip = np.zeros((len(ipv4), 16), np.uint8)
    ip[:, : len(IPV4_IN_IPV6)] = np.frombuffer(IPV4_IN_IPV6, np.uint8)
    ip[:, len(IPV4_IN_IPV6) :] = ipv4
    return ip
