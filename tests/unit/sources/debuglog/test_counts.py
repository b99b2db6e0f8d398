"""Sums over lines of the log."""

from __future__ import annotations

import json

import pytest

from peerwatch.schema.batch import SECOND
from peerwatch.sources.debuglog import counts
from peerwatch.sources.debuglog.counts import MINUTE_NS, TRAFFIC, Counts, Traffic

AT = 1_795_580_911 * SECOND


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"received: inv (37 bytes) peer=3", (True, "inv", 37, 3)),
        (b"sending ping (8 bytes) peer=-1", (False, "ping", 8, -1)),
        (b"received: x (5 bytes) (2 bytes) peer=5", (True, "x (5 bytes)", 2, 5)),
        (b"received:  (3 bytes) peer=1", (True, "", 3, 1)),
        (b"received: a\x1bb (3 bytes) peer=1, peeraddr=1.2.3.4:5", (True, "a\\x1bb", 3, 1)),
    ],
)
def test_lines_of_messages(line: bytes, expected: tuple[bool, str, int, int]) -> None:
    """Types are whatever peers choose, spaces and parentheses included, and are escaped."""
    found = TRAFFIC.match(line)
    assert found is not None
    traffic = Traffic()
    assert traffic.add(AT, found) is expected[0]
    _, columns = traffic.rows()
    assert [columns[name] for name in ("inbound", "type", "bytes", "peer")] == [[value] for value in expected]


@pytest.mark.parametrize(
    "line", [b"received: feefilter of 1 from peer=3", b"sending header-and-ids aa to peer=3", b"received: x"]
)
def test_other_lines(line: bytes) -> None:
    """What only begins like it is no message."""
    assert TRAFFIC.match(line) is None


def test_sums_of_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages of one peer, direction and type add up; beyond the bound types are counted together."""
    monkeypatch.setattr(counts, "MOST_PAIRS", 2)
    traffic = Traffic()
    for kind in (b"inv", b"inv", b"tx", b"addr", b"ping"):
        found = TRAFFIC.match(b"received: %b (10 bytes) peer=3" % kind)
        assert found
        traffic.add(AT, found)
    _, columns = traffic.rows()
    assert dict(zip(columns["type"], columns["messages"], strict=True)) == {"inv": 2, "tx": 1, "other": 2}
    assert columns["ts"] == [1_795_580_910 * SECOND] * 3
    assert traffic.rows()[1]["ts"] == []


def test_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute is told when a later line or the clock says that it is over; what is not told yet outlives a restart."""
    first = Counts()
    assert first.add(AT, ("a", "net", "a"), 9) is None
    again = Counts(json.loads(json.dumps(first.state())))
    assert again.add(AT, ("a", "net", "a"), 9) is None
    over = again.add(AT + MINUTE_NS, (None, "none", "b <*>"), 1)
    assert over is not None
    assert {name: column[0] for name, column in over[1].items()} == {
        "ts": AT // MINUTE_NS * MINUTE_NS,
        "event": "a",
        "category": "net",
        "template": "a",
        "lines": 2,
        "bytes": 20,
    }
    assert again.turn(AT + MINUTE_NS) is None
    assert again.turn(AT + 2 * MINUTE_NS) is not None
    assert again.turn(AT + 3 * MINUTE_NS) is None
    monkeypatch.setattr(counts, "MOST_COUNTED", 1)
    full = Counts()
    for name in ("a", "b", "c"):
        full.add(AT, (name, "net", name), 1)
    told = full.turn(AT + MINUTE_NS)
    assert told is not None
    assert list(zip(told[1]["event"], told[1]["lines"], strict=True)) == [("a", 1), (None, 2)]
