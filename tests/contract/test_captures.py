"""Captures of a real node through the whole: what SQL gives is what the node counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from peerwatch.app.replay import Replay, replay
from peerwatch.store.query import Query

CAPTURES = sorted(p.parent for p in (Path(__file__).parents[1] / "data/captures").glob("*/expected.json"))
COUNTS = "SELECT if(inbound, 'in ', 'out ') || type AS what, count(*) AS n, sum(size)::BIGINT AS bytes FROM message GROUP BY what"
WRONG = "SELECT type, error FROM message WHERE error IS NOT NULL ORDER BY seq"
MALFORMED = {
    "addr_relay-node0": [("addr", "over_limit")],
    "addrv2_relay-node0": [("addrv2", "over_limit")],
    "compactblocks-node0": [("cmpctblock", "index_overflow")],
    "filter-node0": [("filterload", "over_limit"), ("filterload", "over_limit"), ("filteradd", "over_limit")],
    "ping-node0": [("pong", "truncated")],
}
"""What the scenarios sent wrongly on purpose: lists of 1010 addresses, an index beyond its block, a filter too long, one of too
many functions, an element too long, and a pong without its nonce."""


def test_there_are_captures() -> None:
    """An empty folder would make every test below pass."""
    assert len(CAPTURES) == 12


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda p: p.name)
def test_counts_bytes_and_errors(capture: Path, tmp_path: Path) -> None:
    """Every message by direction and type, to the byte; nothing malformed but what was meant to be; roll-ups add up."""
    expected = json.loads((capture / "expected.json").read_text())
    replay(Replay(capture, tmp_path / "archive"), [])
    query = Query(tmp_path / "archive")
    counts = {row["what"]: [row["n"], row["bytes"]] for row in query.table(COUNTS).to_pylist()}
    wrong = [tuple(row.values()) for row in query.table(WRONG).to_pylist()]
    rates = {
        row["width"]: row["n"] for row in query.table("SELECT width, sum(messages)::BIGINT n FROM rate GROUP BY ALL").to_pylist()
    }

    assert counts == expected["counts"]
    assert wrong == MALFORMED.get(capture.name, [])
    assert rates == dict.fromkeys((1, 60, 3600), expected["messages"])
