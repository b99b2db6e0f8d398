"""`addr`."""

from __future__ import annotations

import ipaddress

import pytest

from tests.reference.decode import dissected, raw
from tests.reference.reader import compact_size


def entry(ip: str, time: int = 0x4966BC61, services: int = 9, port: int = 8333) -> bytes:
    return (
        time.to_bytes(4, "little") + services.to_bytes(8, "little") + ipaddress.IPv6Address(ip).packed + port.to_bytes(2, "big")
    )


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        ("::ffff:203.0.113.7", "ipv4"),
        ("2001:db8::1", "ipv6"),
        ("fc00::1", "ipv6"),
        ("fd6b:88c0:8724::1", "ipv6"),
        ("::", "ipv6"),
        ("::fffe:0:1", "ipv6"),
    ],
)
def test_ip_addresses(ip: str, network: str) -> None:
    """IPv4 is told by its mapped form; everything else is IPv6, CJDNS and Core's internal addresses too."""
    made = dissected(raw([("addr", b"\1" + entry(ip), 31)]))
    row = {"idx": 0, "time": 0x4966BC61, "services": 9, "network": network, "ip": ipaddress.IPv6Address(ip).packed, "key": None}
    assert made == [([row | {"port": 8333}], None)]


def test_tor_v2() -> None:
    """An OnionCat address is a Tor v2 address of 10 bytes and no IP address."""
    made = dissected(raw([("addr", b"\2" + entry("fd87:d87e:eb43:102:304:506:708:90a") + entry("::1"), 61)]))
    rows, error = made[0]
    assert error is None
    assert [(r["network"], r["ip"], r["key"]) for r in rows] == [
        ("torv2", None, bytes(range(1, 11))),
        ("ipv6", bytes(15) + b"\1", None),
    ]


@pytest.mark.parametrize(("count", "kept", "error"), [(999, 999, None), (1000, 1000, None), (1001, 1000, "over_limit")])
def test_the_limit(count: int, kept: int, error: str | None) -> None:
    """A message may hold 1000 entries; of one that holds more, the first 1000 are kept."""
    payload = compact_size(count) + entry("::1") * count
    rows, found = dissected(raw([("addr", payload, len(payload))]))[0]
    assert (len(rows), found) == (kept, error)
    assert [r["idx"] for r in rows] == list(range(kept))


def test_extreme_values() -> None:
    """All bits of time, services and port arrive."""
    made = dissected(raw([("addr", b"\1" + entry("::1", 2**32 - 1, 2**64 - 1, 2**16 - 1), 31)]))
    assert (made[0][0][0]["time"], made[0][0][0]["services"], made[0][0][0]["port"]) == (2**32 - 1, 2**64 - 1, 2**16 - 1)
