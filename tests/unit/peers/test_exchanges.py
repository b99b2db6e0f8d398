"""Requests and answers as rows; answers that nobody asked for."""

from __future__ import annotations

from typing import Any

import pytest

from peerwatch.peers import exchanges
from peerwatch.peers.exchanges import ASKED
from peerwatch.schema.tables.exchange import Exchange
from peerwatch.wire.raw import KNOWN_TYPES
from tests.builders import Stream, at
from tests.reference.talk import told


def ping(stream: Stream, ts: float, nonce: int | None, *, pong: bool = False, inbound: bool = False) -> None:
    """A ping (of the node, unless told otherwise) or pong."""
    row = {"peer": 1, "inbound": inbound, "pong": pong, "nonce": nonce}
    stream.message(at(ts), 1, "pong" if pong else "ping", inbound=inbound, ping=[row])


def block(stream: Stream, ts: float, kind: str, number: int, *, inbound: bool) -> None:
    """A message about one block."""
    row = {"peer": 1, "inbound": inbound, "message": kind, "hash": bytes([number] * 32)}
    stream.message(at(ts), 1, kind, inbound=inbound, block_relay=[row])


def outcomes(stream: Stream, size: int = 1) -> list[tuple[Any, ...]]:
    """Kind, who asked, outcome, duration (ms) and seqs of request and end."""
    return [
        (r["kind"], r["inbound"], r["outcome"], r["duration"] // 10**6, r["request"], r["seq"])
        for r in told(stream, size)["exchange"]
    ]


def test_kinds_are_those_of_the_table() -> None:
    """Every kind is named in the table's documentation and a type or `block`; limits have sources."""
    for asked in ASKED:
        assert asked.name in Exchange.columns["kind"].doc
        assert asked.name in KNOWN_TYPES
        assert asked.limit_s > 0
        assert asked.source


@pytest.mark.parametrize(
    ("asked", "answer"),
    [(a.name, answer) for a in ASKED for answer in a.answers],
)
def test_by_type(asked: str, answer: str) -> None:
    """The first such message from the other side answers, and only that."""
    stream = Stream()
    for ts, kind, inbound in ((0.1, asked, True), (0.2, answer, True), (0.35, answer, False), (0.4, answer, False)):
        stream.message(at(ts), 1, kind, inbound=inbound)
    assert outcomes(stream) == [(asked, True, "answered", 250, 0, 2)]


def test_pings_by_nonce() -> None:
    """Each pong answers the ping with its nonce; a ping without one wants no answer."""
    stream = Stream()
    ping(stream, 0.1, 5)
    ping(stream, 0.2, 6)
    ping(stream, 0.3, None)
    ping(stream, 0.4, 6, pong=True, inbound=True)
    ping(stream, 0.5, 5, pong=True, inbound=True)
    assert outcomes(stream) == [("ping", False, "answered", 200, 1, 3), ("ping", False, "answered", 400, 0, 4)]


def test_what_else_becomes_of_a_request() -> None:
    """Superseded, closed with the connection, or unanswered at the first event after its time."""
    stream = Stream()
    for ts, kind in ((0.1, "getheaders"), (0.2, "getheaders"), (120.1, "inv"), (120.3, "inv"), (121.0, "getaddr")):
        stream.message(at(ts), 1, kind)
    stream.closed(at(122.0), 1)
    for size in (1, 100):
        assert outcomes(stream, size) == [
            ("getheaders", True, "superseded", 100, 0, 1),
            ("getheaders", True, "unanswered", 120_100, 1, 3),
            ("getaddr", True, "closed", 1000, 4, 5),
        ]


def test_block_transactions_by_block() -> None:
    """cmpctblock, getblocktxn, blocktxn; what was not asked for, and what was not announced, is weird."""
    stream = Stream()
    stream.opened(at(0.01), 1)
    stream.version(at(0.02), 1)
    stream.version(at(0.03), 1, inbound=False)
    stream.message(at(0.04), 1, "verack")
    stream.message(at(0.05), 1, "verack", inbound=False)
    block(stream, 0.1, "cmpctblock", 1, inbound=True)
    block(stream, 0.2, "getblocktxn", 1, inbound=False)
    block(stream, 0.3, "getblocktxn", 2, inbound=False)
    block(stream, 0.4, "blocktxn", 1, inbound=True)
    block(stream, 0.5, "blocktxn", 3, inbound=True)
    assert outcomes(stream)[0] == ("getblocktxn", False, "answered", 200, 6, 8)
    found = [(r["kind"], r["inbound"], r["first"]) for r in told(stream, 4)["weird"]]
    assert found == [("getblocktxn_unannounced", False, 7), ("blocktxn_unrequested", True, 9)]


def weird_pongs(stream: Stream, size: int) -> list[tuple[str, int]]:
    """Kinds and seqs of what is weird about pongs."""
    return [(r["kind"], r["first"]) for r in told(stream, size).get("weird", []) if r["type"] == "pong"]


def begun() -> Stream:
    """A connection seen from its beginning."""
    stream = Stream()
    stream.opened(at(0.01), 1)
    for side in (True, False):
        stream.version(at(0.02), 1, inbound=side)
        stream.message(at(0.03), 1, "verack", inbound=side)
    return stream


@pytest.mark.parametrize("size", [1, 3, 100])
def test_pongs_that_answer_nothing(size: int) -> None:
    """Without any ping, with another nonce than that of any, and after the answer."""
    stream = begun()
    ping(stream, 0.1, 5, pong=True, inbound=True)
    ping(stream, 0.2, 5)
    ping(stream, 0.3, 6, pong=True, inbound=True)
    ping(stream, 0.4, 5, pong=True, inbound=True)
    ping(stream, 1.5, 5, pong=True, inbound=True)
    assert weird_pongs(stream, size) == [("pong_unsolicited", 5), ("pong_nonce", 7), ("pong_unsolicited", 9)]


def test_pongs_are_not_judged_without_knowing() -> None:
    """Not after 20 minutes, at which the ping was given up; not when all messages have the same time, set by hand."""
    stream = begun()
    ping(stream, 0.2, 5)
    ping(stream, 1300.5, 5, pong=True, inbound=True)
    ping(stream, 1300.6, 7, pong=True, inbound=True)
    assert weird_pongs(stream, 1) == []
    stream = begun()
    ping(stream, 3.0, 5, pong=True, inbound=True)
    ping(stream, 3.0, 5)
    assert weird_pongs(stream, 1) == []


def test_requests_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """With too many that wait the oldest is forgotten, and nobody is accused because of it; the other side's are not touched."""
    monkeypatch.setattr(exchanges, "WAITING", 4)
    for size in (1, 100):
        stream = begun()
        ping(stream, 0.1, 99, inbound=True)
        for nonce in range(6):
            ping(stream, 0.2, nonce)
        for nonce in range(6):
            ping(stream, 0.3, nonce, pong=True, inbound=True)
        ping(stream, 0.4, 99, pong=True)
        assert [r[4] for r in outcomes(stream, size)] == [8, 9, 10, 11, 5]
        assert weird_pongs(stream, size) == []
