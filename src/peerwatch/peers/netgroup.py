"""Addresses as nodes write them, the network that each belongs to, and its netgroup.

A *netgroup* is what Bitcoin Core takes for one operator: it makes one outbound connection to each at most, and limits what each
can fill in its address manager (src/netgroup.cpp: NetGroupManager::GetGroup, here without an asmap). As text:

| network                                            | netgroup                                  | example             |
|----------------------------------------------------|-------------------------------------------|---------------------|
| ipv4, also when it is wrapped in one of ipv6       | /16                                       | `1.2.0.0/16`        |
| ipv6 of Hurricane Electric (2001:470::/32)         | /36                                       | `2001:470:a000::/36`|
| other ipv6                                         | /32                                       | `2001:2001::/32`    |
| onion, i2p                                         | first 4 bits of the key, in hexadecimal   | `onion:a`, `i2p:7`  |
| cjdns                                              | first 4 bits after the constant fc        | `cjdns:1`           |
| internal (stands for a name that a node asked for) | each its own                              | `internal:…`        |
| unroutable                                         | one for all of them                       | `unroutable`        |
| what is no address                                 |                                           | `unknown`           |

fc00::/8 is CJDNS here. Core takes it for that only when it is told that it can reach CJDNS, and for unroutable otherwise; but an
address of that kind has no other use, and nodes that can reach it tell others of it. Where the node has its own word for the
network of an address, that decides.

Peers can influence these texts: nothing raises, whatever they are.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import NamedTuple

from peerwatch.wire.networks import IPV4_IN_IPV6

IPV4, IPV6, ONION, I2P, CJDNS, INTERNAL, UNROUTABLE = "ipv4", "ipv6", "onion", "i2p", "cjdns", "internal", "unroutable"
NETWORKS = (IPV4, IPV6, ONION, I2P, CJDNS, INTERNAL, UNROUTABLE)
UNKNOWN = "unknown"
"""Netgroup of what is no address."""

NOT_ROUTABLE = "not_publicly_routable"
"""What Core calls unroutable in answers to RPC (src/netbase.cpp: GetNetworkName)."""

LONGEST = 96
"""Characters of an address looked at and kept. Core documents up to 68, and that names given by the operator may be longer."""

_PORT_DIGITS, _PORT_MOST = 5, 65535

_ONION_CHARS, _I2P_CHARS, _INTERNAL_CHARS = 56, 52, 16
_ONION_BYTES, _KEY_BYTES = 35, 32
_ONION_VERSION = 3
_I2P_SPARE = 4
"""52 base32 characters have 4 bits more than the 32 bytes; they are zero."""


class Address(NamedTuple):
    """An address without its port."""

    network: str
    """ipv4, ipv6 (CJDNS and what is not routable, too), onion, i2p or internal: how it is written."""
    value: int
    """Its bits: 32, 128, 256 (the key), 256 or 80 of them."""


def split_address(text: str) -> tuple[str, int | None]:
    """Host and port of an address as nodes write it, without brackets; the port is None where there is none.

    As Core's SplitHostPort (src/util/strencodings.cpp): an address of IPv6 needs brackets to have a port.
    """
    host, port = text, None
    before, colon, after = text.rpartition(":")
    if colon and (not before or ":" not in before or (before[0] == "[" and before[-1] == "]")):
        number = int(after) if 0 < len(after) <= _PORT_DIGITS and after.isascii() and after.isdigit() else _PORT_MOST + 1
        if number <= _PORT_MOST:
            host, port = before, number
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    return host, port


def network_of(host: str, network: str | None = None) -> str:
    """The network of an address without port: one of NETWORKS. An IPv4 address wrapped in one of IPv6 is of ipv4, as in Core.

    Args:
        host: the address.
        network: what the node itself calls its network, if it is known.
    """
    address = parse(host)
    return UNROUTABLE if address is None else _network(address, network)


def netgroup(host: str, network: str | None = None) -> str:
    """The netgroup of an address without port, as the module says. Arguments as of network_of."""
    address = parse(host)
    return UNKNOWN if address is None else _group(address, network)


def netgroups(hosts: Sequence[str], networks: Iterable[str | None] = repeat(None)) -> list[str]:
    """The netgroup of each of many addresses without ports."""
    return [netgroup(host, network) for host, network in zip(hosts, networks, strict=False)]


def mappable(host: str, network: str | None = None) -> bytes | None:
    """The 16 bytes by which an address is looked up in a map of autonomous systems; None of one that has no place in any.

    As Core (src/netgroup.cpp: GetMappedAS): an IPv4 address wrapped in one of IPv6 counts as itself, in its mapped form; and
    what is not routable, onion, I2P and CJDNS have no autonomous system.
    """
    address = parse(host)
    if address is None or _network(address, network) not in (IPV4, IPV6):
        return None
    linked = _linked(address)
    return address.value.to_bytes(16, "big") if linked is None else IPV4_IN_IPV6 + linked.to_bytes(4, "big")


def packed(address: Address) -> bytes | None:
    """An address of IPv4 (in its mapped form), IPv6 or CJDNS as 16 bytes, just as it is; None of others."""
    if address.network == IPV4:
        return IPV4_IN_IPV6 + address.value.to_bytes(4, "big")
    return address.value.to_bytes(16, "big") if address.network == IPV6 else None


def parse(host: str) -> Address | None:
    """An address without port, as nodes write it; None if it is none."""
    if (ipv4 := _ipv4(host)) is not None:
        return Address(IPV4, ipv4)
    if len(host) > LONGEST or not host.isascii():
        return None
    if ":" in host:
        return _ipv6(host)
    name, dot, kind = host.lower().partition(".")
    reader = _NAMES.get(dot + kind)
    return reader(name) if reader else None


_OCTETS = {str(number): number for number in range(256)}


def _ipv4(host: str) -> int | None:
    parts = host.split(".", 4)
    try:
        a, b, c, d = parts
        return _OCTETS[a] << 24 | _OCTETS[b] << 16 | _OCTETS[c] << 8 | _OCTETS[d]
    except (ValueError, KeyError):
        return None


_MAPPED = int.from_bytes(IPV4_IN_IPV6, "big")
_LOW_32 = (1 << 32) - 1


_WORDS, _DIGITS_OF_ALL = 8, 32
_HEXADECIMAL = frozenset("0123456789abcdefABCDEF:")


def _ipv6(host: str) -> Address | None:
    """As ipaddress.IPv6Address, which is left to read the rare forms, in a quarter of its time."""
    try:
        value = _words(host) if _HEXADECIMAL.issuperset(host) else int(ipaddress.IPv6Address(host))
    except ValueError:
        return None
    return Address(IPV4, value & _LOW_32) if value >> 32 == _MAPPED else Address(IPV6, value)


def _words(host: str) -> int:
    """The number that words of four hexadecimal digits are, `::` standing for one word of zeros or more.

    Raises:
        ValueError: they are none.
    """
    head, gap, tail = host.partition("::")
    before, after = head.split(":") if head else [], tail.split(":") if tail else []
    zeros = _WORDS - len(before) - len(after)
    if "" in before or "" in after or (zeros < 1 if gap else zeros):
        raise ValueError(host)
    digits = "".join([word.zfill(4) for word in before + ["0"] * zeros + after])
    if len(digits) != _DIGITS_OF_ALL:
        raise ValueError(host)
    return int(digits, 16)


_ALPHABET = b"abcdefghijklmnopqrstuvwxyz234567"
_DIGITS = bytes(b"0123456789abcdefghijklmnopqrstuv!"[_ALPHABET.find(char)] for char in range(256))
"""From base32 to the digits that `int` knows; what is none becomes what `int` refuses (find gives -1 for it)."""


def _base32(text: str, length: int) -> int | None:
    """The number that a text of base32 (RFC 4648, lower case, no padding) is."""
    try:
        return int(text.encode("ascii").translate(_DIGITS), 32) if len(text) == length else None
    except ValueError:
        return None


def _onion(name: str) -> Address | None:
    """A v3 address: key, checksum and version (Tor, rend-spec-v3). Those of v2 are none since Core 22."""
    number = _base32(name, _ONION_CHARS)
    if number is None:
        return None
    raw = number.to_bytes(_ONION_BYTES, "big")
    key, checksum, version = raw[:_KEY_BYTES], raw[_KEY_BYTES:-1], raw[-1:]
    right = hashlib.sha3_256(b".onion checksum" + key + version).digest()[: len(checksum)]
    return Address(ONION, int.from_bytes(key, "big")) if version[0] == _ONION_VERSION and checksum == right else None


def _i2p(name: str) -> Address | None:
    key = _base32(name, _I2P_CHARS)
    return None if key is None or key % (1 << _I2P_SPARE) else Address(I2P, key >> _I2P_SPARE)


def _internal(name: str) -> Address | None:
    hashed = _base32(name, _INTERNAL_CHARS)
    return None if hashed is None else Address(INTERNAL, hashed)


_NAMES = {".onion": _onion, ".b32.i2p": _i2p, ".internal": _internal}
"""What reads the first part of a name, by the others."""


def _prefixes(*networks: str) -> tuple[tuple[int, int], ...]:
    """Networks as (bits that they leave free, the others)."""
    parsed = [ipaddress.ip_network(network) for network in networks]
    return tuple((n.max_prefixlen - n.prefixlen, int(n.network_address) >> (n.max_prefixlen - n.prefixlen)) for n in parsed)


_UNROUTABLE_4 = _prefixes(
    "0.0.0.0/8", "127.0.0.0/8",  # IsLocal
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",  # RFC 1918
    "198.18.0.0/15",  # RFC 2544
    "169.254.0.0/16",  # RFC 3927
    "100.64.0.0/10",  # RFC 6598
    "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24",  # RFC 5737
    "255.255.255.255/32",  # not valid
)  # fmt: skip
"""What Core's CNetAddr::IsRoutable (src/netaddress.cpp) refuses; multicast and class E pass."""

_UNROUTABLE_6 = _prefixes(
    "::/128", "2001:db8::/32",  # not valid
    "::1/128",  # IsLocal
    "fe80::/64",  # RFC 4862
    "fc00::/7",  # RFC 4193; OnionCat's and the internal prefix are in it
    "2001:10::/28", "2001:20::/28",  # RFC 4843, RFC 7343
)  # fmt: skip

_CJDNS = 0xFC
_HE_NET = 0x20010470
_NAT64 = (0x0064FF9B << 64, 0xFFFF << 16)
"""64:ff9b::/96 (RFC 6052) and ::ffff:0:0:0/96 (RFC 6145), without their last 32 bits."""
_6TO4 = 0x2002
_TEREDO = 0x20010000


def _within(value: int, prefixes: tuple[tuple[int, int], ...]) -> bool:
    return any(value >> free == prefix for free, prefix in prefixes)


_BYTES_4 = frozenset(prefix << free >> 24 for free, prefix in _UNROUTABLE_4)
_BYTES_6 = frozenset(prefix << free >> 120 for free, prefix in _UNROUTABLE_6) | {0xFD}
"""First bytes of what is not routable (none but fc00::/7 has two): most addresses need not be looked at more closely."""


def _network(address: Address, told: str | None) -> str:
    network, value = address
    if network == IPV4:
        return UNROUTABLE if value >> 24 in _BYTES_4 and _within(value, _UNROUTABLE_4) else IPV4
    if network != IPV6:
        return network
    if value >> 120 == _CJDNS and told in (None, CJDNS):
        return CJDNS
    if value >> 120 in _BYTES_6 and _within(value, _UNROUTABLE_6):
        return UNROUTABLE
    return IPV6 if _linked(address) is None else IPV4


def _linked(address: Address) -> int | None:
    """The IPv4 address that a routable address is or wraps (Core: GetLinkedIPv4)."""
    network, value = address
    if network == IPV4:
        return value
    if value >> 32 in _NAT64:
        return value & _LOW_32
    if value >> 112 == _6TO4:
        return value >> 80 & _LOW_32
    if value >> 96 == _TEREDO:
        return value & _LOW_32 ^ _LOW_32
    return None


def _group(address: Address, told: str | None) -> str:
    network = _network(address, told)
    if network in (IPV4, IPV6):
        linked = _linked(address)
        return _group_6(address.value >> 80) if linked is None else f"{linked >> 24}.{linked >> 16 & 0xFF}.0.0/16"
    if network == UNROUTABLE:
        return network
    if network == INTERNAL:
        return f"{network}:{address.value:020x}"
    return f"{network}:{address.value >> (116 if network == CJDNS else 252) & 0xF:x}"


def _group_6(words: int) -> str:
    """/32 or /36 of an address whose first three words these are, written as ipaddress does, which takes longer."""
    first, second = words >> 32, words >> 16 & 0xFFFF
    if words >> 16 == _HE_NET:
        third = words & 0xF000
        return f"{first:x}:{second:x}:{third:x}::/36" if third else f"{first:x}:{second:x}::/36"
    if second:
        return f"{first:x}:{second:x}::/32"
    return f"{first:x}::/32" if first else "::/32"
