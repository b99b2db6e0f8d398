"""Addresses as they are gossiped, and the pool of them."""

from __future__ import annotations

import ipaddress

import numpy as np
import pytest

from peerwatch.sources.simulation.addresses import (
    CJDNS,
    I2P,
    IPV4,
    IPV6,
    KEY_BYTES,
    ONION,
    SPECIAL,
    Addresses,
    Pool,
    ipv4,
    is_special,
    is_unroutable,
    seen_ages,
)
from tests.unit.sources.simulation.seen import Entry, Message, addresses, column, rng

TEXTS = (
    (ONION, "79bcc625184b05194975c28b66b66b0469f7f6556fb1ac3189a79b40dda32f1f",
     "pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion:8333"),
    (I2P, "a2894dabaec08c0051a481a6dac88b64f98232ae42d4b6fd2fa81952dfe36a87",
     "ukeu3k5oycgaauneqgtnvselmt4yemvoilkln7jpvamvfx7dnkdq.b32.i2p:8333"),
    (IPV4, "01020304", "1.2.3.4:8333"),
    (IPV6, "20010db8000000000000000000000001", "[2001:db8::1]:8333"),
    (CJDNS, "fc000001000200030004000500060007", "[fc00:1:2:3:4:5:6:7]:8333"),
)  # fmt: skip
"""Network, address bytes, text; those of Tor and I2P are BIP 155's and Core's own (src/test/net_tests.cpp)."""


def listed(*items: tuple[int, bytes]) -> Addresses:
    keys = np.array([list(k.ljust(32, b"\0")) for _, k in items], np.uint8)
    count = len(items)
    networks = np.array([n for n, _ in items], np.uint8)
    return Addresses(networks, keys, np.full(count, 8333, np.uint16), np.full(count, 1033, np.uint64))


@pytest.mark.parametrize(("network", "key", "text"), TEXTS)
def test_text_is_what_core_writes(network: int, key: str, text: str) -> None:
    """Addresses of every network read as in Core's logs and tracepoints."""
    assert listed((network, bytes.fromhex(key))).text(0) == text
    assert listed((network, bytes.fromhex(key))).text(0, 5).endswith(":5")


def test_entries_hold_what_they_should() -> None:
    """A plain decoder reads time, services, network, address and port back, of `addr` and of `addrv2`."""
    what = listed(*((n, bytes.fromhex(k)) for n, k, _ in TEXTS))
    times = column([10, 11, 12, 13, 14])
    rows, keep = what.v2(times)
    two = addresses(Message(0, 0, True, "addrv2", b"\x05" + rows[keep].tobytes()))
    old = what.take(column([2, 3]))
    one = addresses(Message(0, 0, True, "addr", b"\x02" + old.v1(times[:2]).tobytes()))

    assert two == [Entry(10 + i, 1033, n, bytes.fromhex(k), 8333) for i, (n, k, _) in enumerate(TEXTS)]
    assert one == [Entry(10, 1033, IPV4, b"\1\2\3\4", 8333), Entry(11, 1033, IPV6, bytes.fromhex(TEXTS[3][1]), 8333)]


def test_special_addresses_are_those_of_the_registry() -> None:
    """Borders of every special block are inside of it, and their neighbours are where Python's own tables say."""
    for net in SPECIAL:
        ends = np.array([int(net.network_address), int(net.broadcast_address)], np.uint32)
        assert is_special(ends).all()
    some = rng().integers(0, 1 << 32, 4000, dtype=np.uint32)
    known = [any(ipaddress.IPv4Address(int(ip)) in net for net in SPECIAL) for ip in some]
    assert is_special(some).tolist() == known


def test_core_passes_multicast_and_class_e_on() -> None:
    """Private and loopback addresses are unroutable, 224/3 is not (CNetAddr::IsRoutable), and other networks never are."""
    ips = np.array(
        [int(ipaddress.IPv4Address(a)) for a in ("10.0.0.1", "127.0.0.1", "224.0.0.1", "250.1.1.1", "8.8.8.8")], np.uint32
    )

    assert is_unroutable(ipv4(ips, 8333, 1)).tolist() == [True, True, False, False, False]
    assert not is_unroutable(listed((ONION, b"\x0a\0\0\1"))).any()


def test_the_pool_is_like_the_network() -> None:
    """No special IPv4, every network in it with addresses of its length, some /8s with many and many with few, few clocks off."""
    pool = Pool(rng(), 20_000)
    four = pool.all.key[pool.all.network == IPV4, :4].copy().view(">u4")[:, 0].astype(np.uint32)
    eights = np.bincount(four >> 24, minlength=256)

    assert not is_special(four).any()
    assert set(pool.all.network.tolist()) == set(KEY_BYTES)
    for network, length in KEY_BYTES.items():
        assert not pool.all.key[pool.all.network == network, length:].any()
    assert eights.max() > 10 * np.median(eights[eights > 0])
    assert 0.005 < np.mean(np.abs(pool.skew) > 70) < 0.02


def test_renewal_leaves_the_fixed_part() -> None:
    """Old addresses of the other part go in turn, and are replaced; where peers live nothing changes."""
    pool = Pool(rng(), 300)
    before = pool.all.key.copy()
    pool.renew(60)
    pool.renew(60)

    changed = (pool.all.key != before).any(axis=1)
    assert not changed[: pool.fixed].any()
    assert changed[pool.fixed :].all()


def test_ages_stay_within_addrmans_horizon() -> None:
    """Addresses in an answer to getaddr were seen minutes to 30 days ago."""
    ages = seen_ages(rng(), 5000)

    assert ages.min() >= 120
    assert ages.max() == 30 * 86400
    assert 3600 < np.median(ages) < 7 * 86400
