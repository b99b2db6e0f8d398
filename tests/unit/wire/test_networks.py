"""Networks inside of 16 bytes."""

from __future__ import annotations

import ipaddress

import numpy as np

from peerwatch.wire.networks import CJDNS, NETWORK_BYTES, NETWORKS, TORV2_IN_IPV6, is_mapped, mapped, starts_with


def ips(*texts: str) -> np.ndarray:
    return np.frombuffer(b"".join(ipaddress.IPv6Address(t).packed for t in texts), np.uint8).reshape(-1, 16)


def test_prefixes() -> None:
    """IPv4-mapped and OnionCat addresses are told from their neighbours."""
    some = ips(
        "::ffff:1.2.3.4", "::fffe:102:304", "1::ffff:1.2.3.4", "::1:ffff:102:304", "fd87:d87e:eb43::1", "fd87:d87e:eb44::1", "::"
    )
    assert is_mapped(some).tolist() == [True, False, False, False, False, False, False]
    assert starts_with(some, TORV2_IN_IPV6).tolist() == [False, False, False, False, True, False, False]


def test_mapping() -> None:
    """IPv4 addresses get their mapped form."""
    assert (
        mapped(np.array([[1, 2, 3, 4], [255, 0, 255, 0]], np.uint8)).tobytes()
        == ips("::ffff:1.2.3.4", "::ffff:255.0.255.0").tobytes()
    )


def test_bip155_ids() -> None:
    """Names and lengths stand where BIP 155 numbers them."""
    table = dict(enumerate(zip(NETWORKS, NETWORK_BYTES, strict=True)))
    assert table[CJDNS] == ("cjdns", 16)
    assert [table[i] for i in range(1, 6)] == [("ipv4", 4), ("ipv6", 16), ("torv2", 10), ("torv3", 32), ("i2p", 32)]
