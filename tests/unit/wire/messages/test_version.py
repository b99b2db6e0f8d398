"""`version`."""

from __future__ import annotations

import ipaddress
import struct

import pytest

from tests.reference.decode import dissected, raw
from tests.reference.reader import Row, compact_size

HEAD = struct.pack("<iQq", 70016, 0x0C09, 1_700_000_000)
RECEIVER = struct.pack("<Q", 1) + ipaddress.IPv6Address("::ffff:203.0.113.7").packed + struct.pack(">H", 8333)
SENDER = struct.pack("<Q", 2) + ipaddress.IPv6Address("2001:db8::1").packed + struct.pack(">H", 18333)
NONCE = struct.pack("<Q", 0x1122334455667788)
AGENT = b"\x10/Satoshi:29.0.0/"
HEIGHT = struct.pack("<i", 900_000)
PARTS = [HEAD + RECEIVER, SENDER + NONCE, AGENT, HEIGHT, b"\1"]

FULL = {
    "protocol": 70016,
    "services": 0x0C09,
    "time": 1_700_000_000,
    "receiver_services": 1,
    "receiver_ip": ipaddress.IPv6Address("::ffff:203.0.113.7").packed,
    "receiver_port": 8333,
    "sender_ip": ipaddress.IPv6Address("2001:db8::1").packed,
    "sender_port": 18333,
    "nonce": 0x1122334455667788,
    "user_agent": "/Satoshi:29.0.0/",
    "start_height": 900_000,
    "relay": True,
}
COLUMNS_AFTER = [6, 9, 10, 11, 12]
"""How many columns are filled after each of the parts."""


def first(count: int) -> Row:
    return {name: value if i < count else None for i, (name, value) in enumerate(FULL.items())}


def both(payload: bytes, size: int | None = None) -> tuple[list[Row], str | None]:
    return dissected(raw([("version", payload, len(payload) if size is None else size)]))[0]


@pytest.mark.parametrize("parts", range(1, 6))
def test_older_versions_end_earlier(parts: int) -> None:
    """A message may end before the sender, the user agent, the height and the relay flag; what is not there is null."""
    assert both(b"".join(PARTS[:parts])) == ([first(COLUMNS_AFTER[parts - 1])], None)


def test_the_receiver_is_needed() -> None:
    """A message that ends after its time is truncated, and its start is kept; one that ends before gives no row."""
    assert both(HEAD) == ([first(3)], "truncated")
    assert both(HEAD[:-1]) == ([], "truncated")


def test_cut_inside_a_field() -> None:
    """Fields that are whole stay, whether the sender or we cut the next; only the first is an error."""
    whole = b"".join(PARTS)
    for end, columns in ((40, 3), (46 + 25, 6), (46 + 30, 8), (80 + 5, 9), (80 + 18, 10)):
        assert both(whole[:end]) == ([first(columns)], "truncated")
        assert both(whole[:end], len(whole)) == ([first(columns)], None)


def test_cut_by_us_where_a_message_may_end() -> None:
    """A field that we did not keep is not taken as absent with an error."""
    assert both(b"".join(PARTS[:2]), 200) == ([first(9)], None)


@pytest.mark.parametrize(("length", "error"), [(0, None), (256, None), (257, "over_limit")])
def test_user_agent_limit(length: int, error: str | None) -> None:
    """A user agent has at most 256 bytes; a longer one ends the message."""
    rows, found = both(b"".join(PARTS[:2]) + compact_size(length) + b"a" * length + HEIGHT + b"\0")
    assert found == error
    assert rows[0]["user_agent"] == (None if error else "a" * length)
    assert rows[0]["relay"] is (None if error else False)


def test_a_hostile_user_agent_is_escaped() -> None:
    """Control bytes, bytes beyond ASCII and the escape sign itself never appear as they are."""
    rows, _ = both(b"".join(PARTS[:2]) + b"\x08\x1b[2J\xff\\\n\0" + HEIGHT)
    assert rows[0]["user_agent"] == r"\x1b[2J\xff\x5c\x0a\x00"


def test_negative_values() -> None:
    """Protocol, time and height are signed."""
    rows, _ = both(struct.pack("<iQq", -1, 0, -2) + RECEIVER + SENDER + NONCE + AGENT + struct.pack("<i", -3))
    assert (rows[0]["protocol"], rows[0]["time"], rows[0]["start_height"]) == (-1, -2, -3)
