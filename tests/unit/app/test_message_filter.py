"""Which messages are wanted, as a condition."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest

from peerwatch.app import message_filter
from peerwatch.app.message_filter import ERRORS, Filter, moment
from peerwatch.schema.batch import SECOND

NOW = 1_793_613_600 * SECOND
"""2 November 2026, 10:00 UTC."""

MESSAGES = [
    # number, node, peer, inbound, type, error, ts
    (0, "alice", 1, True, "inv", None, 10),
    (1, "alice", 1, False, "getdata", None, 20),
    (2, "alice", 2, True, "addr", "over_limit", 30),
    (3, "bob", 2, True, "pong", "truncated", 40),
    (4, "bob", 3, True, "it's", None, 50),
]
CONNECTIONS = [
    ("alice", 1, "203.0.113.7:8333"),
    ("alice", 2, "[2001:db8::1]:8333"),
    ("bob", 2, "203.0.113.7:9"),
    ("bob", 3, None),
]


def numbers(chosen: Filter) -> list[int]:
    """Numbers of the messages above that fit."""
    connection = duckdb.connect()
    connection.execute(
        "CREATE TABLE message "
        "(n INT, node TEXT, session INT, source TEXT, peer INT, inbound BOOL, type TEXT, error TEXT, ts BIGINT)"
    )
    connection.execute("CREATE TABLE connection (node TEXT, session INT, source TEXT, peer INT, address TEXT)")
    for n, node, *rest in MESSAGES:
        connection.execute("INSERT INTO message VALUES (?, ?, 1, 'usdt', ?, ?, ?, ?, ?)", [n, node, *rest])
    for node, peer, address in CONNECTIONS:
        connection.execute("INSERT INTO connection VALUES (?, 1, 'usdt', ?, ?)", [node, peer, address])
    return [n for (n,) in connection.execute(f"SELECT n FROM message WHERE {chosen.condition()} ORDER BY n").fetchall()]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"node": "bob"}, [3, 4]),
        ({"peers": ("2",)}, [2, 3]),
        ({"peers": ("203.0.113.7",)}, [0, 1, 3]),
        ({"peers": ("203.0.113.7:8333",)}, [0, 1]),
        ({"peers": ("2001:db8::1",)}, [2]),
        ({"peers": ("[2001:db8::1]:8333", "3")}, [2, 4]),
        ({"peers": ("203.0.113",)}, []),
        ({"types": ("inv", "addr")}, [0, 2]),
        ({"types": ("it's",)}, [4]),
        ({"types": ("x') OR ('1'='1",)}, []),
        ({"node": "' OR true OR '"}, []),
        ({"inbound": True, "node": "alice"}, [0, 2]),
        ({"inbound": False}, [1]),
        ({"errors": ()}, [2, 3]),
        ({"errors": ("truncated", "trailing")}, [3]),
        ({"since": 20, "until": 40}, [1, 2]),
    ],
    ids=str,
)
def test_what_fits(chosen: dict[str, Any], expected: list[int]) -> None:
    """All conditions hold, and of several values any; what looks like SQL is text."""
    assert numbers(Filter(**chosen)) == expected


@pytest.mark.parametrize("text", ["0", "17", "203.0.113.7", "203.0.113.7:8333", "::1", "[2001:db8::1]:8333", "abc234.onion:8333"])
def test_peers(text: str) -> None:
    """An id, or an address in any form in which the node writes it."""
    assert message_filter.peer(text) == text


@pytest.mark.parametrize("text", ["", "-1", "abc", "a.b'c", "1; DROP TABLE message", "a b", "\u0661", "1" * 200])
def test_no_peers(text: str) -> None:
    """Anything else is refused by name."""
    with pytest.raises(ValueError, match="neither the id of a peer nor an address"):
        message_filter.peer(text)


def test_types_and_errors() -> None:
    """Any printable name may be a type; errors are a closed set, and named when one is not in it."""
    assert [message_filter.type_name(name) for name in (r"\x01odd", "a b")] == [r"\x01odd", "a b"]
    for text in ("", "a,b", "\x1b[31m", "é", "a" * 49):
        with pytest.raises(ValueError, match="cannot be a message type"):
            message_filter.type_name(text)
    assert [message_filter.error(text) for text in ERRORS] == list(ERRORS)
    with pytest.raises(ValueError, match="'none' is no error; there are truncated, trailing,"):
        message_filter.error("none")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", NOW - 90 * SECOND),
        ("10m", NOW - 600 * SECOND),
        ("2h", NOW - 7200 * SECOND),
        ("3d", NOW - 3 * 86400 * SECOND),
        ("2026-11-02", NOW - 36000 * SECOND),
        ("2026-11-02T10:00", NOW),
        ("2026-11-02 10:00:00.000001", NOW + 1000),
        ("2026-11-02T10:00:00Z", NOW),
        ("2026-11-02T11:00:00+01:00", NOW),
        ("1969-12-31T23:59:59", -SECOND),
        ("9999-12-31", (1 << 63) - 1),
    ],
)
def test_times(text: str, expected: int) -> None:
    """Dates and times are UTC unless they say otherwise; a number with a unit is so long ago; microseconds are exact."""
    assert moment(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "now", "10", "10 m", "-10m", "10w", "2026-13-01", "9" * 30 + "d"])
def test_no_times(text: str) -> None:
    """Anything else is refused with examples."""
    with pytest.raises(ValueError, match="is no time; use one in UTC as 2026-11-02T10:00:00, or how long ago"):
        moment(text, NOW)
