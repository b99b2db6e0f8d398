"""Addresses as nodes gossip them, and the pool of them that the simulated network has."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from peerwatch.schema.batch import SECOND, Array
from peerwatch.sources.simulation.model import DAY, HOUR, MINUTE
from peerwatch.sources.simulation.pieces import compact_sizes

IPV4, IPV6, ONION, I2P, CJDNS = 1, 2, 4, 5, 6
"""BIP 155 network numbers."""

KEY_BYTES = {IPV4: 4, IPV6: 16, ONION: 32, I2P: 32, CJDNS: 16}
"""Bytes of an address, by network (BIP 155)."""

CORE_NETWORK = {IPV4: 1, IPV6: 2, ONION: 3, I2P: 4, CJDNS: 5}
"""Core's `enum Network` (netaddress.h), which the connection probes pass."""

NODE_NETWORK, NODE_WITNESS, NODE_COMPACT_FILTERS, NODE_NETWORK_LIMITED, NODE_P2P_V2 = 1, 8, 64, 1024, 2048
FULL_NODE = NODE_NETWORK | NODE_WITNESS | NODE_NETWORK_LIMITED
PRUNED_NODE = NODE_WITNESS | NODE_NETWORK_LIMITED

SPECIAL = tuple(
    ipaddress.ip_network(n)
    for n in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
        "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    )
)  # fmt: skip
"""IPv4 that no public node can have (IANA IPv4 Special-Purpose Address Registry, and multicast)."""

_TIME = slice(0, 4)
_SERVICES = slice(4, 13)
_KEY = slice(15, 47)
_WIDTH = 49
"""An addrv2 entry with room for everything: time 4, services 9, network 1, length 1, address 32, port 2."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Addresses in columns: network (uint8, BIP 155), key (32 bytes, zeros behind it), port (uint16), services (uint64)."""

    network: Array
    key: Array
    port: Array
    services: Array

    def __len__(self) -> int:
        """Number of addresses."""
        return len(self.network)

    def take(self, index: Array) -> Addresses:
        """Some of them."""
        return Addresses(self.network[index], self.key[index], self.port[index], self.services[index])

    @classmethod
    def joined(cls, parts: Sequence[Addresses]) -> Addresses:
        """All addresses of `parts`."""
        columns = ("network", "key", "port", "services")
        return cls(*(np.concatenate([getattr(p, c) for p in parts]) for c in columns))

    def v1(self, times: Array) -> Array:
        """Entries of `addr`, seen at `times` (s): uint8 of shape (n, 30). Only IPv4 and IPv6 have one."""
        out = np.zeros((len(self), 30), np.uint8)
        out[:, :4] = times.astype("<u4").reshape(-1, 1).view(np.uint8)
        out[:, 4:12] = self.services.astype("<u8").reshape(-1, 1).view(np.uint8)
        four = self.network == IPV4
        out[four, 22:24] = 0xFF
        out[four, 24:28] = self.key[four, :4]
        out[~four, 12:28] = self.key[~four, :16]
        out[:, 28:] = self.port.astype(">u2").reshape(-1, 1).view(np.uint8)
        return out

    def v2(self, times: Array) -> tuple[Array, Array]:
        """Entries of `addrv2` (BIP 155), seen at `times` (s): uint8 of shape (n, 49) and a mask of the bytes that count."""
        out = np.zeros((len(self), _WIDTH), np.uint8)
        keep = np.ones((len(self), _WIDTH), bool)
        lengths = _LENGTHS[self.network]
        out[:, _TIME] = times.astype("<u4").reshape(-1, 1).view(np.uint8)
        out[:, _SERVICES], keep[:, _SERVICES] = compact_sizes(self.services)
        out[:, 13], out[:, 14] = self.network, lengths
        out[:, _KEY], keep[:, _KEY] = self.key, np.arange(32) < lengths[:, None]
        out[:, 47:] = self.port.astype(">u2").reshape(-1, 1).view(np.uint8)
        return out, keep

    def text(self, index: int, port: int | None = None) -> str:
        """Address `index` as Core writes it, with its own port or another."""
        network, key = int(self.network[index]), self.key[index].tobytes()
        at = int(self.port[index]) if port is None else port
        if network == IPV4:
            return f"{ipaddress.IPv4Address(key[:4])}:{at}"
        if network == ONION:
            check = hashlib.sha3_256(b".onion checksum" + key + b"\x03").digest()[:2]
            return f"{base64.b32encode(key + check + bytes([3])).decode().lower()}.onion:{at}"
        if network == I2P:
            return f"{base64.b32encode(key).decode().lower().rstrip('=')}.b32.i2p:{at}"
        return f"[{ipaddress.IPv6Address(key[:16])}]:{at}"


_LENGTHS = np.zeros(256, np.uint8)
_LENGTHS[list(KEY_BYTES)] = list(KEY_BYTES.values())


def is_special(ip: Array) -> Array:
    """Mask of the IPv4 addresses (uint32) that are in `SPECIAL`."""
    out = np.zeros(len(ip), bool)
    for net in SPECIAL:
        out |= (ip & np.uint32(int(net.netmask))) == np.uint32(int(net.network_address))
    return out


def is_unroutable(what: Addresses) -> Array:
    """Mask of what Core does not pass on (CNetAddr::IsRoutable, which lets multicast and class E through)."""
    four = what.network == IPV4
    ip = what.key[:, :4].copy().view(">u4")[:, 0].astype(np.uint32)
    return np.asarray(four & is_special(ip) & (ip < np.uint32(0xE0000000)))


def ipv4(ip: Array, port: int, services: int) -> Addresses:
    """IPv4 addresses (uint32, host order), all with one port and the same services."""
    key = np.zeros((len(ip), 32), np.uint8)
    key[:, :4] = ip.astype(">u4").reshape(-1, 1).view(np.uint8)
    full = np.ones(len(ip))
    return Addresses(np.full(len(ip), IPV4, np.uint8), key, (full * port).astype(np.uint16), (full * services).astype(np.uint64))


_NETWORKS = ((IPV4, 0.45), (IPV6, 0.15), (ONION, 0.33), (I2P, 0.06), (CJDNS, 0.01))
"""Shares of the networks in gossip. Assumed, after what public crawlers show."""

_SERVICES_SEEN = ((FULL_NODE, 0.38), (FULL_NODE | NODE_P2P_V2, 0.50), (PRUNED_NODE | NODE_P2P_V2, 0.05), (9, 0.03),
                  (FULL_NODE | NODE_COMPACT_FILTERS | NODE_P2P_V2, 0.04))  # fmt: skip
_HOSTERS = 60
"""IPv4 /16s of big hosters, which together have two fifths of the IPv4 nodes. Assumed."""
_HOSTED = 0.4
_PREFIXES = 400
"""IPv6 /32s with nodes in them, out of the /12s of APNIC, ARIN and RIPE. Assumed."""
_DEFAULT_PORT = 8333
_ODD_PORTS = 0.06


class Pool:
    """The addresses that honest nodes gossip: a fixed part, in which peers live, and a part that is slowly renewed.

    Attributes:
        all: the addresses.
        skew: how far the clock of each is off, int64, s. Most by a second or two, one in fifty by minutes.
        fixed: addresses 0 … fixed-1 stay.
    """

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        """Draw `size` addresses."""
        self._rng = rng
        self._eights = _zipf_eights(rng)
        self._hosters = self._spread_ipv4(_HOSTERS) >> 16 << 16
        registries = np.array([0x24000000, 0x26000000, 0x2A000000])
        self._prefixes = rng.choice(registries, _PREFIXES) + rng.integers(0, 1 << 20, _PREFIXES)
        self.all = self._draw(size)
        self.skew = self._draw_skew(size)
        self.fixed = size * 2 // 3
        self._next = self.fixed

    def renew(self, count: int) -> None:
        """Let `count` addresses (fewer than the renewed part has) go, and as many new ones come."""
        at = self.fixed + (self._next - self.fixed + np.arange(count)) % (len(self.all) - self.fixed)
        self._next = int(at[-1]) + 1 if count else self._next
        fresh = self._draw(count)
        for ours, theirs in ((self.all.network, fresh.network), (self.all.key, fresh.key), (self.all.port, fresh.port),
                             (self.all.services, fresh.services), (self.skew, self._draw_skew(count))):  # fmt: skip
            ours[at] = theirs

    def of_network(self, network: int) -> Array:
        """Indices of the fixed addresses of one network."""
        return np.flatnonzero(self.all.network[: self.fixed] == network)

    def _draw(self, count: int) -> Addresses:
        rng = self._rng
        networks, shares = zip(*_NETWORKS, strict=True)
        network = rng.choice(np.array(networks, np.uint8), count, p=shares)
        key = rng.integers(0, 256, (count, 32), np.uint8)
        key[np.arange(32) >= _LENGTHS[network][:, None]] = 0
        four, six = np.flatnonzero(network == IPV4), np.flatnonzero(network == IPV6)
        key[four, :4] = self._ipv4(len(four)).astype(">u4").reshape(-1, 1).view(np.uint8)
        prefix = rng.choice(self._prefixes, len(six))
        key[six, :4] = prefix.astype(">u4").reshape(-1, 1).view(np.uint8)
        key[network == CJDNS, 0] = 0xFC
        port = np.where(rng.random(count) < _ODD_PORTS, rng.integers(1024, 65536, count), _DEFAULT_PORT).astype(np.uint16)
        port[network == I2P] = 0
        bits, weights = zip(*_SERVICES_SEEN, strict=True)
        return Addresses(network, key, port, rng.choice(np.array(bits, np.uint64), count, p=weights))

    def _ipv4(self, count: int) -> Array:
        hosted = self._rng.choice(self._hosters, count) | self._rng.integers(0, 1 << 16, count, dtype=np.uint32)
        return np.where(self._rng.random(count) < _HOSTED, hosted, self._spread_ipv4(count)).astype(np.uint32)

    def _spread_ipv4(self, count: int) -> Array:
        """IPv4 addresses by the weights of the /8s, none of them special."""
        out = np.zeros(count, np.uint32)
        todo = np.arange(count)
        while len(todo):
            eight = self._rng.choice(256, len(todo), p=self._eights).astype(np.uint32)
            out[todo] = eight << np.uint32(24) | self._rng.integers(0, 1 << 24, len(todo), dtype=np.uint32)
            todo = todo[is_special(out[todo])]
        return out

    def _draw_skew(self, count: int) -> Array:
        rng = self._rng
        small = rng.normal(0, 1, count)
        minutes = rng.normal(0, 240, count)
        which = rng.random(count)
        return np.select([which < 0.97, which < 0.99], [small, rng.uniform(-70, 70, count)], minutes).astype(np.int64)  # noqa: PLR2004 - shares


def _zipf_eights(rng: np.random.Generator) -> Array:
    """Weights of the 256 IPv4 /8s: none for special and multicast ones, the others by a Zipf law in random order."""
    weights = np.zeros(256)
    usable = np.setdiff1d(np.arange(1, 224), [10, 127])
    weights[rng.permutation(usable)] = 1.0 / np.arange(1, len(usable) + 1) ** 0.7
    return np.asarray(weights / weights.sum())


def seen_ages(rng: np.random.Generator, count: int) -> Array:
    """How long ago addresses in an answer to getaddr were seen, s: most within days, all within 30 (ADDRMAN_HORIZON)."""
    hours = rng.exponential(6, count)
    days = rng.exponential(7, count)
    ns = np.where(rng.random(count) < 0.4, hours * HOUR, days * DAY)  # noqa: PLR2004 - a share
    return np.clip(ns / SECOND, 2 * MINUTE / SECOND, 30 * DAY / SECOND).astype(np.int64)
