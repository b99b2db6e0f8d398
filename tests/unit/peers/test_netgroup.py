"""`peers/netgroup.py`: addresses are read, and grouped, as Bitcoin Core does."""

from __future__ import annotations

import base64
import hashlib
import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from peerwatch.peers.netgroup import LONGEST, NETWORKS, mappable, netgroup, netgroups, network_of, packed, parse, split_address
from tests.reference.netgroup import NETS, as_text, group, linked, read, routable


def onion(key: bytes) -> str:
    """The name of a key in Tor."""
    raw = key + hashlib.sha3_256(b".onion checksum" + key + b"\3").digest()[:2] + b"\3"
    return base64.b32encode(raw).decode().lower() + ".onion"


def i2p(key: bytes) -> str:
    """The name of a key in I2P."""
    return base64.b32encode(key).decode().lower().rstrip("=") + ".b32.i2p"


TOR = "pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion"
"""Of the Tor Project; Core's tests have it, too."""

CORE = {
    "127.0.0.1": [0],
    "257.0.0.1": None,
    "10.0.0.1": [0],
    "169.254.1.1": [0],
    "1.2.3.4": [1, 1, 2],
    "::FFFF:0:102:304": [1, 1, 2],
    "64:FF9B::102:304": [1, 1, 2],
    "2002:102:304:9999:9999:9999:9999:9999": [1, 1, 2],
    "2001:0:9999:9999:9999:9999:FEFD:FCFB": [1, 1, 2],
    "2001:470:abcd:9999:9999:9999:9999:9999": [2, 32, 1, 4, 112, 175],
    "2001:2001:9999:9999:9999:9999:9999:9999": [2, 32, 1, 32, 1],
}
"""Groups by address that Bitcoin Core's own tests expect (src/test/netbase_tests.cpp: netbase_getgroup)."""

INTERNAL = base64.b32encode(hashlib.sha256(b"baz.net").digest()[:10]).decode().lower() + ".internal"

ipv6 = st.integers(0, 2**128 - 1).map(lambda n: str(ipaddress.IPv6Address(n)))
SPECIAL_6 = [
    *("2001::", "2001:470::", "2002::", "64:ff9b::", "::ffff:0:0:0", "fc00::", "fd87:d87e:eb43::", "fe80::", "fec0::"),
    *("2001:10::", "2001:20::", "2001:30::", "2001:db8::", "::ffff:0:0", "::", "ff02::"),
]
SPECIAL_4 = [
    *("0.0", "10.0", "100.63", "100.64", "100.127", "100.128", "127.255", "169.254", "172.15", "172.31", "192.0", "192.168"),
    *("198.17", "198.19", "198.51", "203.0", "224.0", "240.1", "255.255"),
]
special = st.sampled_from([int(ipaddress.IPv6Address(text)) for text in SPECIAL_6])
near = st.builds(lambda base, n: str(ipaddress.IPv6Address(base + n)), special, st.integers(0, 2**36))
ipv4 = st.integers(0, 2**32 - 1).map(lambda n: str(ipaddress.IPv4Address(n)))
close = st.builds(lambda first, n: f"{first}.{n >> 8}.{n & 255}", st.sampled_from(SPECIAL_4), st.integers(0, 2**16 - 1))
keys = st.binary(min_size=32, max_size=32)
hosts = st.one_of(ipv4, close, ipv6, near, keys.map(onion), keys.map(i2p), st.just(INTERNAL))
mess = st.one_of(st.text(max_size=120), st.text(":.0123456789abcdef%/[]_+- onip", max_size=60), ipv6.map(lambda a: a + ":"))


@pytest.mark.parametrize(("host", "expected"), CORE.items())
def test_groups_are_those_of_core_s_own_tests(host: str, expected: list[int] | None) -> None:
    """What Core's tests expect of an address, the reference gives, and the module writes as text."""
    assert group(host) == expected
    assert netgroup(host) == as_text(expected)


@given(hosts)
@example(TOR)
@example("255.255.255.255")
@example("255.255.255.254")
@example("::2")
@example("0:5::1")
@example("fc5e::1")
def test_groups_are_those_of_the_reference(host: str) -> None:
    """Any address has the group and network class of an independent reading of Core's rules."""
    expected = group(host)
    assert netgroup(host) == as_text(expected)
    assert network_of(host) == NETS[expected[0] if expected else 0]


def test_texts_are_readable() -> None:
    """One example of each kind of netgroup."""
    hosts = ["1.2.3.4", "2001:470:abcd::1", "2001:470::1", "2a01:4f8:1::2", "2a01::1", TOR, i2p(b"\x7f" * 32), "fc1e::1"]
    groups = ["1.2.0.0/16", "2001:470:a000::/36", "2001:470::/36", "2a01:4f8::/32", "2a01::/32", "onion:7", "i2p:7", "cjdns:1"]
    assert netgroups(hosts) == groups
    assert netgroups(["127.0.0.1", "nonsense", INTERNAL]) == ["unroutable", "unknown", "internal:12929400eb4607c4ac07"]


def test_what_the_node_says_decides_about_cjdns() -> None:
    """An address in fc00::/8 is CJDNS unless the node calls it something else."""
    assert network_of("fc00::1") == network_of("fc00::1", "cjdns") == "cjdns"
    assert network_of("fc00::1", "not_publicly_routable") == "unroutable"
    assert netgroups(["fc00::1", "fc00::1"], ["ipv6", None]) == ["unroutable", "cjdns:0"]
    assert as_text(group("fc00::1", cjdns=False)) == "unroutable"


@given(st.one_of(hosts, mess))
@example("::1%eth0")
@example("1:2:3:4:5:6:7::")
@example("::ffff:1.2.3.4")
@example("\u212a" * 56 + ".onion")
@example("٣.2.3.4")
@example("\ud800.onion")
def test_what_is_an_address_is_told_as_elsewhere(host: str) -> None:
    """What the standard library (or a plain reading of names) takes for an address is one here, with the same bytes."""
    known = read(host) if len(host) <= LONGEST and host.isascii() else None
    address = parse(host)
    assert (address is None) == (known is None)
    if known is not None:
        kind, raw = known
        assert (address.network, address.value) == (kind, int.from_bytes(raw, "big"))
        assert packed(address) == {"ipv4": bytes(10) + b"\xff\xff" + raw, "ipv6": raw}.get(kind)


@given(st.one_of(hosts, mess))
def test_only_routable_ip_is_looked_up(host: str) -> None:
    """In a map of autonomous systems an address has the place that Core gives it, a wrapped IPv4 address that of its own."""
    known = read(host)
    expected = None
    if known is not None and known[0] in ("ipv4", "ipv6") and routable(*known):
        ipv4 = linked(*known)
        expected = known[1] if ipv4 is None else bytes(10) + b"\xff\xff" + ipv4
    assert mappable(host) == expected


@given(mess)
def test_nothing_raises(text: str) -> None:
    """Whatever is given, networks are of the set, groups are text, and what is no address is unroutable and unknown."""
    host, port = split_address(text)
    assert network_of(host) in NETWORKS
    assert port is None or 0 <= port <= 65535
    if parse(host) is None:
        assert (network_of(host), netgroup(host), mappable(host)) == ("unroutable", "unknown", None)


SPLIT = {
    "www.bitcoin.org": ("www.bitcoin.org", None),
    "[www.bitcoin.org]": ("www.bitcoin.org", None),
    "www.bitcoin.org:80": ("www.bitcoin.org", 80),
    "[www.bitcoin.org]:80": ("www.bitcoin.org", 80),
    "127.0.0.1": ("127.0.0.1", None),
    "127.0.0.1:8333": ("127.0.0.1", 8333),
    "[127.0.0.1]": ("127.0.0.1", None),
    "[127.0.0.1]:8333": ("127.0.0.1", 8333),
    "::ffff:127.0.0.1": ("::ffff:127.0.0.1", None),
    "[::ffff:127.0.0.1]:8333": ("::ffff:127.0.0.1", 8333),
    "[::]:8333": ("::", 8333),
    "::8333": ("::8333", None),
    ":8333": ("", 8333),
    "[]:8333": ("", 8333),
    "": ("", None),
}
"""What Core's own tests expect (src/test/netbase_tests.cpp: netbase_splithost)."""

OURS = {
    f"{TOR}:8333": (TOR, 8333),
    f"{i2p(bytes(32))}:0": (i2p(bytes(32)), 0),
    "[fc00::1]:8333": ("fc00::1", 8333),
    "[2001:db8::1]": ("2001:db8::1", None),
    "1.2.3.4:65536": ("1.2.3.4:65536", None),
    "1.2.3.4:": ("1.2.3.4:", None),
    "1.2.3.4:+1": ("1.2.3.4:+1", None),
    "1.2.3.4:٣": ("1.2.3.4:٣", None),
}


@pytest.mark.parametrize(("text", "expected"), (SPLIT | OURS).items())
def test_addresses_are_split_as_core_does(text: str, expected: tuple[str, int | None]) -> None:
    """Host and port of what nodes write."""
    assert split_address(text) == expected
