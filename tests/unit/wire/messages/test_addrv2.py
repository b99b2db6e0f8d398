"""`addrv2` (BIP 155)."""

from __future__ import annotations

import pytest

from peerwatch.wire.messages.addrv2 import FEW
from tests.reference.decode import decode, dissected, raw
from tests.reference.messages.addrv2 import entry
from tests.reference.reader import Row, compact_size

TIME, PORT = (0x4966BC61).to_bytes(4, "little"), (8333).to_bytes(2, "big")
LONG = bytes(range(200, 232))


def one(network: int, address: bytes, services: int = 0x0C48) -> bytes:
    return entry(TIME, services, network, address, PORT)


def both(payload: bytes) -> tuple[list[Row], str | None]:
    return dissected(raw([("addrv2", payload, len(payload))]))[0]


@pytest.mark.parametrize(
    ("network", "address", "name", "ip", "key"),
    [
        (1, b"\xcb\0\x71\7", "ipv4", bytes(10) + b"\xff\xff\xcb\0\x71\7", None),
        (2, LONG[:16], "ipv6", LONG[:16], None),
        (3, LONG[:10], "torv2", None, LONG[:10]),
        (4, LONG, "torv3", None, LONG),
        (5, LONG, "i2p", None, LONG),
        (6, b"\xfc" + LONG[:15], "cjdns", b"\xfc" + LONG[:15], None),
        (7, b"", "unknown", None, b""),
        (0, LONG[:3], "unknown", None, LONG[:3]),
        (99, LONG * 16, "unknown", None, LONG),
    ],
)
def test_networks(network: int, address: bytes, name: str, ip: bytes | None, key: bytes | None) -> None:
    """Addresses of all networks come out; those of unknown ones are no error, and of long ones the start is kept."""
    rows, error = both(b"\2" + one(network, address) + one(1, b"\1\2\3\4"))
    row = {"idx": 0, "time": 0x4966BC61, "services": 0x0C48, "network": name, "ip": ip, "key": key, "port": 8333}
    assert rows[0] == row
    assert rows[1]["network"] == "ipv4"
    assert error is None


@pytest.mark.parametrize("network", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("length", [0, 3, 5, 11, 15, 17, 31, 33, 252, 253, 512])
def test_wrong_lengths(network: int, length: int) -> None:
    """An address that does not fit its network ends the message there, and what came before stays."""
    rows, error = both(b"\3" + one(1, b"\1\2\3\4") + one(network, bytes(length)) + one(1, b"\1\2\3\4"))
    assert [r["idx"] for r in rows] == [0]
    assert error == "bad_address_length"


@pytest.mark.parametrize("network", [1, 9])
def test_addresses_over_512_bytes(network: int) -> None:
    """No network may have longer ones."""
    assert both(b"\2" + one(4, LONG) + one(network, bytes(513)))[1] == "over_limit"
    assert both(b"\1" + TIME + b"\0" + bytes([network]) + compact_size(2**64 - 1) + bytes(600)) == ([], "over_limit")


@pytest.mark.parametrize("services", [0, 252, 253, 0xFFFF, 0x10000, 2**32 - 1, 2**32, 2**64 - 1])
def test_services_of_every_width(services: int) -> None:
    """Services are a compact size of any width, and the entry behind it is found."""
    rows, error = both(b"\2" + one(6, LONG[:16], services) + one(1, b"\1\2\3\4", 1))
    assert ([r["services"] for r in rows], error) == ([services, 1], None)


@pytest.mark.parametrize("width", [3, 5, 9])
def test_non_canonical(width: int) -> None:
    """Services and lengths must have their shortest form."""
    services = TIME + compact_size(9, width) + b"\1\4\1\2\3\4" + PORT
    length = TIME + b"\0\1" + compact_size(4, width) + b"\1\2\3\4" + PORT
    for bad in (services, length):
        rows, error = both(b"\3" + one(4, LONG) + bad + one(4, LONG))
        assert (len(rows), error) == (1, "non_canonical")


@pytest.mark.parametrize(("count", "kept", "error"), [(999, 999, None), (1000, 1000, None), (1001, 1000, "over_limit")])
def test_the_limit(count: int, kept: int, error: str | None) -> None:
    """A message may hold 1000 entries; of one that holds more, the first 1000 are kept."""
    rows, found = both(compact_size(count) + one(5, LONG) * count)
    assert (len(rows), found) == (kept, error)


def test_an_embedded_ipv4_stays_what_it_was_sent_as() -> None:
    """An IPv6 entry that holds a mapped address (which Core ignores) is still an IPv6 entry."""
    rows, error = both(b"\1" + one(2, bytes(10) + b"\xff\xff\1\2\3\4"))
    assert (rows[0]["network"], error) == ("ipv6", None)


@pytest.mark.parametrize("services", [0, 252, 253, 2**16, 2**32])
@pytest.mark.parametrize("length", [0, 4, 240, *range(244, 257), 512, 513])
def test_short_and_long_lists_are_walked_alike(services: int, length: int) -> None:
    """Entries are found behind services and addresses of every width, in lists of any length, wherever these end."""
    odd, usual = one(99, (LONG * 17)[:length], services), one(1, b"\1\2\3\4", 1)
    sent = []
    for count in (1, FEW, FEW + 1, 3 * FEW):
        body = compact_size(count) + (odd + usual) * (count // 2) + odd * (count % 2)
        for cut in range(0, min(60, len(body)), 3):
            sent += [("addrv2", body[: len(body) - cut], size) for size in {len(body) - cut, len(body)}]
    assert dissected(raw(sent)) == [decode(*message) for message in sent]
