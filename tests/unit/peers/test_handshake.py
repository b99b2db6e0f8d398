"""Handshakes as rows."""

from __future__ import annotations

from typing import Any

import pytest

from peerwatch.peers.handshake import TYPES
from tests.builders import Stream, at
from tests.reference.talk import told

IN, OUT = True, False
HANDS = [
    (IN, "version"),
    (OUT, "version"),
    (OUT, "wtxidrelay"),
    (OUT, "verack"),
    (IN, "wtxidrelay"),
    (IN, "sendaddrv2"),
    (IN, "verack"),
]


def stream_of(steps: list[tuple[bool, str]], *, opened_after: int = 0, conn_type: str = "inbound") -> Stream:
    """A connection that opens after so many messages."""
    stream = Stream()
    for i, (side, kind) in enumerate([*steps, (OUT, "ping")]):
        if i == opened_after:
            stream.opened(at(0.1 + i / 100), 1, conn_type=conn_type)
        stream.message(at(0.105 + i / 100), 1, kind, inbound=side)
    return stream


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_complete_one(size: int) -> None:
    """Who said what, how long it took, and what both agreed on; what comes later is no part of it."""
    (row,) = told(stream_of(HANDS), size)["handshake"]
    expected: dict[str, Any] = {
        "ts": at(0.165), "seq": 7, "peer": 1, "inbound": True, "complete": True, "duration": 60_000_000, "first": 5_000_000,
        "theirs": "version,wtxidrelay,sendaddrv2,verack", "ours": "version,wtxidrelay,verack", "wtxid_relay": True,
        "addrv2": True, "reconciliation": False,
    }  # fmt: skip
    assert row == expected


@pytest.mark.parametrize("event", ["closed", "evicted"])
def test_one_that_ends_before(event: str) -> None:
    """It is told with what was said, once."""
    stream = stream_of(HANDS[:3])
    stream.opened(at(0.5), 1, event=event)
    stream.opened(at(0.6), 1, event="closed")
    (row,) = told(stream, 2)["handshake"]
    assert (row["complete"], row["duration"], row["ts"], row["theirs"], row["ours"]) == (
        False, None, at(0.5), "version", "version,wtxidrelay,ping",
    )  # fmt: skip


def test_silence() -> None:
    """A connection on which nothing is said has a handshake, too."""
    stream = Stream()
    stream.opened(at(0.1), 1)
    stream.closed(at(0.2), 1)
    (row,) = told(stream, 1)["handshake"]
    assert (row["complete"], row["first"], row["theirs"], row["ours"]) == (False, None, "", "")


def test_seen_from_the_beginning() -> None:
    """The node's own version may come before the connection is told of; anything else means that it was met midway."""
    steps = [(not side, kind) for side, kind in HANDS]
    (row,) = told(stream_of(steps, opened_after=1, conn_type="outbound-full-relay"), 1)["handshake"]
    assert (row["complete"], row["first"]) == (True, 0)
    assert "handshake" not in told(stream_of(steps[1:], opened_after=2), 1)
    assert "handshake" not in told(stream_of(steps, opened_after=99), 1)


def test_a_restart_ends_them_all() -> None:
    """Connections of the process before are over, and peer ids start over."""
    stream = stream_of(HANDS[:2])
    stream.node(at(0.5), "exited")
    stream.append(stream_of(HANDS))
    rows = told(stream, 4)["handshake"]
    assert [(r["peer"], r["complete"]) for r in rows] == [(1, False), (1, True)]


def test_types_are_bounded() -> None:
    """A peer may invent any number of types: the first are kept."""
    rows = told(stream_of([(IN, "version"), *((IN, f"type{i}") for i in range(100)), *HANDS[1:]]), 7)["handshake"]
    assert rows[0]["theirs"].split(",") == ["version", *(f"type{i}" for i in range(TYPES - 1))]
    assert rows[0]["complete"]
