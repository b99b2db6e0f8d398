"""Values as JSON has them and as people read them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from peerwatch.app.message_fields import json_fields, text_fields, utc
from tests.builders import mapped

HASH = bytes(range(32))
SHOWN = bytes(range(31, -1, -1)).hex()
IPV4 = mapped(["203.0.113.7"])[0].tobytes()
IPV6 = bytes.fromhex("20010db8" + "00" * 11 + "01")

VALUES: list[tuple[str, str, Any, Any, str]] = [
    # table, column, value, in JSON, for people
    ("headers", "last", HASH, SHOWN, SHOWN),
    ("address", "ip", IPV4, "203.0.113.7", "203.0.113.7"),
    ("address", "ip", IPV6, "2001:db8::1", "2001:db8::1"),
    ("address", "key", b"\x01\xff", "01ff", "01ff"),
    ("address", "key", HASH, HASH.hex(), HASH.hex()),
    ("address", "time", 1_793_613_600, 1_793_613_600, "2026-11-02T10:00:00Z"),
    ("version", "time", -(1 << 63), -(1 << 63), str(-(1 << 63))),
    ("version", "time", (1 << 63) - 1, (1 << 63) - 1, str((1 << 63) - 1)),
    ("version", "relay", False, False, "no"),
    ("version", "services", (1 << 64) - 1, (1 << 64) - 1, str((1 << 64) - 1)),
    ("inventory", "item", 255, 255, "00000000000000ff"),
    ("negotiation", "fee_rate", 1000, 1000, "1000 sat/kvB"),
    ("headers", "headers", 3, 3, "3"),
]


@pytest.mark.parametrize(("table", "column", "value", "in_json", "for_people"), VALUES)
def test_values_are_read_by_what_they_mean(table: str, column: str, value: Any, in_json: Any, for_people: str) -> None:
    """Hashes as explorers show them, addresses with dots and colons, other bytes in hexadecimal; numbers stay numbers in JSON."""
    assert json_fields(table, {column: value}) == {column: in_json}
    assert text_fields(table, {column: value}) == {column: for_people}
    assert json.loads(json.dumps(json_fields(table, {column: value}))) == {column: in_json}


def test_null() -> None:
    """Is null in JSON, and left out for people."""
    assert json_fields("version", {"nonce": None, "protocol": 1}) == {"nonce": None, "protocol": 1}
    assert text_fields("version", {"nonce": None, "protocol": 1}) == {"protocol": "1"}


def test_times() -> None:
    """In UTC, cut to so many digits, and exact to the nanosecond."""
    assert utc(1_793_613_600_123_456_789) == "2026-11-02 10:00:00.123456789"
    assert utc(1_793_613_600_123_956_789, 3) == "2026-11-02 10:00:00.123"
    assert utc(-1, 3) == "1969-12-31 23:59:59.999"
