"""Addresses in which no reachable Bitcoin node can be: special-purpose and unassigned space of IPv4 and IPv6.

Honest gossip hardly has any. A generator of uniform random IPv4 addresses puts 13.8 % of them here, and 12.5 % into 224.0.0.0/3,
which Core's `CNetAddr::IsRoutable` (netaddress.cpp) lets pass, so that it is relayed.

Sources: IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890), IANA IPv6 address space (global unicast is 2000::/3).
"""

from __future__ import annotations

import numpy as np

from peerwatch.schema.batch import Array

FIRST_SPECIAL = 224
"""224.0.0.0/4 is multicast, 240.0.0.0/4 reserved."""

V4 = 12
"""Where an IPv4 address starts in its IPv4-mapped form."""

_NEVER, _SPECIAL, _PARTLY = 0, 1, 2
_SLASH24 = ((192, 0, 0), (192, 0, 2), (192, 88, 99), (198, 51, 100), (203, 0, 113))
"""IETF protocols, documentation (three), deprecated 6to4 relays."""

_GLOBAL_UNICAST = 0b001
"""First three bits of 2000::/3."""


def _first_16_bits() -> Array:
    """For each /16 of IPv4: never, wholly or partly special."""
    table = np.full((256, 256), _NEVER, np.uint8)
    for first in (0, 10, 127, *range(FIRST_SPECIAL, 256)):
        table[first] = _SPECIAL
    table[100, 64:128] = _SPECIAL  # shared by carriers (RFC 6598)
    table[169, 254] = _SPECIAL  # link-local
    table[172, 16:32] = _SPECIAL  # private (RFC 1918)
    table[192, 168] = _SPECIAL
    table[198, 18:20] = _SPECIAL  # benchmarking (RFC 2544)
    for first, second, _ in _SLASH24:
        table[first, second] = _PARTLY
    return table.reshape(-1)


_TABLE = _first_16_bits()
_PARTS = np.array([(a << 16) | (b << 8) | c for a, b, c in _SLASH24], np.uint32)


def special(ip: Array, ipv4: Array, ipv6: Array) -> Array:
    """Mask of the addresses that are special.

    Args:
        ip: uint8, shape (n, 16), IPv4 in mapped form.
        ipv4: mask of the IPv4 ones.
        ipv6: mask of the IPv6 ones; what is neither is not special.
    """
    first16 = (ip[:, V4].astype(np.uint16) << 8) | ip[:, V4 + 1]
    kind = _TABLE[first16]
    found = (kind == _SPECIAL) & ipv4
    (partly,) = ((kind == _PARTLY) & ipv4).nonzero()
    if len(partly):
        first24 = (first16[partly].astype(np.uint32) << 8) | ip[partly, V4 + 2]
        found[partly] = np.isin(first24, _PARTS)
    if ipv6.any():
        documentation = (ip[:, :4] == (0x20, 0x01, 0x0D, 0xB8)).all(axis=1)
        found |= ipv6 & ((ip[:, 0] >> 5 != _GLOBAL_UNICAST) | documentation)
    return np.asarray(found)


def folded(ip: Array) -> Array:
    """Addresses (uint8, shape (n, 16)) folded to 64 bits: equal addresses are equal, different IPv4 addresses differ."""
    halves = np.ascontiguousarray(ip).view(np.uint64)
    return np.asarray(halves[:, 0] ^ halves[:, 1])
