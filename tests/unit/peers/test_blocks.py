"""Blocks asked for and sent."""

from __future__ import annotations

from typing import Any

import pytest

from peerwatch.peers import blocks
from tests.builders import Stream, at
from tests.reference.talk import told

BLOCK, FILTERED, COMPACT, WITNESS = 2, 3, 4, 1 << 30


def entries(stream: Stream, ts: float, kind: str, *wanted: tuple[int, int], inbound: bool = True, peer: int = 1) -> None:
    """A getdata or notfound for blocks: kind and item of each."""
    who = {"peer": peer, "inbound": inbound, "message": kind}
    rows = [who | {"idx": i, "kind": number, "item": item} for i, (number, item) in enumerate(wanted)]
    stream.message(at(ts), peer, kind, inbound=inbound, inventory=rows)


def outcomes(stream: Stream, size: int = 1) -> list[tuple[Any, ...]]:
    """Outcome, and seqs of request and end."""
    return [(r["outcome"], r["request"], r["seq"]) for r in told(stream, size).get("exchange", []) if r["kind"] == "block"]


@pytest.mark.parametrize("size", [1, 2, 100])
def test_in_the_order_of_asking(size: int) -> None:
    """A block answers the oldest request that it can: compact ones are answered by both, filtered ones by their own type."""
    stream = Stream()
    entries(stream, 0.1, "getdata", (FILTERED, 1), (BLOCK | WITNESS, 2), (COMPACT, 3))
    entries(stream, 0.2, "getdata", (COMPACT, 4))
    for ts, kind in ((0.3, "cmpctblock"), (0.4, "block"), (0.5, "block"), (0.6, "merkleblock"), (0.7, "block")):
        stream.message(at(ts), 1, kind, inbound=False)
    assert outcomes(stream, size) == [("answered", 0, 2), ("answered", 0, 3), ("answered", 1, 4), ("answered", 0, 5)]


def test_what_else_becomes_of_it() -> None:
    """Not found by its item, unanswered after ten minutes, or closed."""
    stream = Stream()
    entries(stream, 0.1, "getdata", (BLOCK, 1), (BLOCK, 2))
    entries(stream, 0.2, "notfound", (BLOCK, 2), inbound=False)
    entries(stream, 600.5, "getdata", (BLOCK, 3))
    stream.closed(at(601.0), 1)
    for size in (1, 100):
        assert outcomes(stream, size) == [("answered", 0, 1), ("unanswered", 0, 2), ("closed", 2, 3)]


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest of a connection, and the oldest connection, are forgotten."""
    monkeypatch.setattr(blocks, "PER_SIDE", 2)
    monkeypatch.setattr(blocks, "SIDES", 2)
    for size in (1, 100):
        stream = Stream()
        entries(stream, 0.1, "getdata", (BLOCK, 1), (BLOCK, 2), (BLOCK, 3))
        for peer in (2, 3):
            entries(stream, 0.2, "getdata", (BLOCK, 1), peer=peer)
        for peer in (1, 2, 3):
            stream.message(at(0.3), peer, "block", inbound=False)
        assert outcomes(stream, size) == [("answered", 1, 4), ("answered", 2, 5)]


def test_compact_blocks_that_were_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is accused of asking for transactions of one."""
    monkeypatch.setattr(blocks, "ANNOUNCED", 2)
    for count, accused in ((2, True), (3, False)):
        stream = Stream()
        stream.opened(at(0.05), 1)
        for number in range(count):
            row = {"peer": 1, "inbound": False, "message": "cmpctblock", "hash": bytes([number] * 32)}
            stream.message(at(0.1), 1, "cmpctblock", inbound=False, block_relay=[row])
        row = {"peer": 1, "inbound": True, "message": "getblocktxn", "hash": bytes([9] * 32)}
        stream.message(at(0.2), 1, "getblocktxn", block_relay=[row])
        for size in (1, 100):
            assert ("getblocktxn_unannounced" in {r["kind"] for r in told(stream, size)["weird"]}) == accused
