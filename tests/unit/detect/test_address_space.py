"""Special address space."""

from __future__ import annotations

import ipaddress

import numpy as np
import pytest

from peerwatch.detect.address_space import folded, special
from tests.builders import mapped

ALL = np.ones(1, bool)
NONE = np.zeros(1, bool)


def is_special(text: str) -> bool:
    """Whether one address is special."""
    address = ipaddress.ip_address(text)
    v4 = address.version == 4
    ip = mapped([text]) if v4 else np.frombuffer(address.packed, np.uint8).reshape(1, 16)
    return bool(special(ip, ALL if v4 else NONE, NONE if v4 else ALL)[0])


SPECIAL = """
0.1.2.3 10.1.1.71 100.64.0.1 127.0.0.1 169.254.9.9 172.16.0.1 172.31.255.255 192.0.0.8 192.0.2.1 192.88.99.1 192.168.3.4
198.18.0.1
198.19.255.1 198.51.100.7 203.0.113.255 224.0.0.1 240.0.0.1 255.255.255.255 ::1 fc00::1 fe80::1 2001:db8::1 ff02::1 4000::1
"""
ORDINARY = """
1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 172.15.0.1 172.32.0.1 192.0.1.1 192.0.3.1 192.88.98.1 198.17.0.1
198.51.101.1 203.0.112.1 223.255.255.255 2001:db9::1 2a01:4f8::1
"""


@pytest.mark.parametrize("text", SPECIAL.split())
def test_special(text):
    """Every block of the registries, at its ends."""
    assert is_special(text)


@pytest.mark.parametrize("text", ORDINARY.split())
def test_ordinary(text):
    """The neighbours of special blocks are ordinary."""
    assert not is_special(text)


def test_share_of_uniform_addresses():
    """Uniform random IPv4 addresses are special in 13.8 of 100 cases."""
    ip = mapped(np.random.default_rng(1).integers(0, 1 << 32, 200_000, dtype=np.uint32))
    every = np.ones(len(ip), bool)
    assert special(ip, every, ~every).mean() == pytest.approx(0.138, abs=0.003)


def test_other_networks_are_not_judged():
    """The bytes of a CJDNS address are no IPv6 address."""
    ip = np.frombuffer(ipaddress.ip_address("fc00::1").packed, np.uint8).reshape(1, 16)
    assert not special(ip, NONE, NONE)[0]


def test_folded_tells_ipv4_apart():
    """Different IPv4 addresses fold to different numbers, equal ones to equal numbers."""
    ip = mapped(np.arange(1000, dtype=np.uint32) * 4_000_037)
    assert len(set(folded(ip).tolist())) == 1000
    assert folded(ip)[3] == folded(ip[3:4])[0]
