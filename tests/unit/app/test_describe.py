"""What messages say, in a few words."""

from __future__ import annotations

from typing import Any

import pytest

from peerwatch.app.describe import DESCRIPTIONS, shown
from peerwatch.schema.registry import all_tables

HASH = bytes(range(1, 33))
SHORT = "201f1e1d..04030201"
EVIL = "\x1b[31m[red]\u202e\u200b\x00\u05d0"
SAFE = "\\x1b[31m[red]\\u202e\\u200b\\x00\\u05d0"

SAID: list[tuple[str, dict[Any, Any], str]] = [
    ("address", {"ipv4": 8, "ipv6": 2}, "10 (ipv4 8, ipv6 2)"),
    ("inventory", {1: 35}, "35 tx"),
    ("inventory", {5: 3, 2: 1}, "3 wtx, 1 block"),
    (
        "inventory",
        {1 + (1 << 30): 2, 2 + (1 << 30): 1, 3: 1, 4: 1, 77: 1},
        "2 witness tx, 1 witness block, 1 filtered block, 1 compact block, 1 kind 77",
    ),
    (
        "inventory",
        dict.fromkeys(range(100, 150), 2),
        "2 kind 100, 2 kind 101, 2 kind 102, 2 kind 103, 2 kind 104, 90 of 45 other kinds",
    ),
    (
        "version",
        {"protocol": 70016, "user_agent": "/Satoshi:29.0.0/", "start_height": 900_000, "services": 0x409, "relay": True},
        "70016 /Satoshi:29.0.0/ height 900000 services 0x409",
    ),
    ("version", {"protocol": 209, "services": 1, "relay": False}, "209 services 0x1 no relay"),
    ("version", {"protocol": -1, "user_agent": EVIL, "services": 0}, f"-1 {SAFE} services 0x0"),
    ("ping", {"pong": False, "nonce": 255}, "nonce 00000000000000ff"),
    ("ping", {"pong": False}, "no nonce"),
    ("negotiation", {"version": 2, "high_bandwidth": True}, "version 2 high bandwidth"),
    ("negotiation", {"version": 1, "high_bandwidth": False}, "version 1 low bandwidth"),
    ("negotiation", {"fee_rate": 1000}, "1000 sat/kvB"),
    ("negotiation", {"version": 1, "salt": 16}, "version 1 salt 0000000000000010"),
    ("headers", {"headers": 3, "breaks": 0, "last": HASH}, f"3 last {SHORT}"),
    ("headers", {"headers": 3, "breaks": 1, "last": HASH}, f"3 last {SHORT} broken at 1"),
    ("headers", {"headers": 0, "breaks": 0}, "0"),
    (
        "block_relay",
        {"message": "cmpctblock", "hash": HASH, "transactions": 2501, "short_ids": 2500, "prefilled": 1},
        f"{SHORT} 2500 short 1 prefilled",
    ),
    ("block_relay", {"message": "block", "hash": HASH, "transactions": 7, "weight": 4000}, f"{SHORT} 7 tx 4000 WU"),
    ("block_relay", {"message": "merkleblock", "hash": HASH, "transactions": 7, "hashes": 4}, f"{SHORT} 7 tx 4 hashes"),
    ("transaction", {"txid": HASH, "inputs": 2, "outputs": 3, "weight": 561}, f"{SHORT} 2 in 3 out 561 WU"),
    ("locator", {"hashes": 31, "tip": HASH, "stop": bytes(32)}, f"31 hashes from {SHORT}"),
    ("locator", {"hashes": 0, "stop": HASH}, f"0 hashes to {SHORT}"),
    ("rejection", {"message": "tx", "code": 64, "reason": "non-final", "hash": HASH}, f"tx 64 non-final {SHORT}"),
    ("rejection", {"message": EVIL, "code": 1, "reason": EVIL}, f"{SAFE} 1 {SAFE}"),
    ("bloom_filter", {"bytes": 36_000, "functions": 50, "flags": 1}, "36000 B 50 functions flags 1"),
    ("bloom_filter", {"bytes": 20}, "20 B"),
    ("block_filter", {"filter_type": 0, "start_height": 100, "hash": HASH}, f"basic from height 100 to {SHORT}"),
    ("block_filter", {"filter_type": 9, "hash": HASH, "bytes": 120}, f"filter type 9 of {SHORT} 120 B"),
    ("block_filter", {"filter_type": 0, "hash": HASH, "previous": HASH, "hashes": 1000}, f"basic to {SHORT} 1000 hashes"),
    (
        "network_alert",
        {"payload": 90, "signature": 71, "id": 1010, "cancel": 1009},
        "number 1010 90 B signed with 71 B cancels up to 1009",
    ),
    ("network_alert", {"payload": 3}, "3 B"),
]


@pytest.mark.parametrize(("table", "row", "expected"), SAID)
def test_descriptions(table: str, row: dict[Any, Any], expected: str) -> None:
    """Each table has its own; what is absent is left out."""
    if DESCRIPTIONS[table].by is None:
        columns = all_tables()[table].columns
        assert row.keys() <= columns.keys()
        row = {column: row.get(column) for column in columns}
    assert DESCRIPTIONS[table].says(row) == expected


def test_every_description_is_tried() -> None:
    """None is without an example above."""
    assert {table for table, _, _ in SAID} == DESCRIPTIONS.keys()


def test_texts_are_made_safe() -> None:
    """Printable ASCII stays, everything else becomes an escape, once; what is too long is cut."""
    assert shown(EVIL) == SAFE
    assert shown(SAFE) == SAFE
    assert shown("\ud800\x7f\x9b\xe9\U000e0041") == "\\ud800\\x7f\\x9b\\xe9\\U000e0041"
    assert shown("a" * 100) == "a" * 77 + "..."
    assert shown("a" * 80) == "a" * 80
    assert len(shown("\u202e" * 10_000_000, 300)) == 300
