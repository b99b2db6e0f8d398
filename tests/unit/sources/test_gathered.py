"""Gathering rows: numbers, sessions, what is not seen."""

from __future__ import annotations

import pytest

from peerwatch.schema.batch import SECOND
from peerwatch.schema.tables.loss import Loss
from peerwatch.schema.tables.memory_state import MemoryState
from peerwatch.schema.tables.peer_traffic import PeerTraffic
from peerwatch.sources.gathered import Gathered

NOW = 1_760_000_000 * SECOND


@pytest.fixture
def rows() -> Gathered:
    """Nothing gathered yet."""
    return Gathered("alice", "rpc", NOW)


def test_numbers_are_gapless_over_tables_and_chunks(rows: Gathered) -> None:
    """Rows of all tables share one sequence, in the order in which they came, which goes on in the next chunk."""
    rows.add(MemoryState, NOW, used=1)
    rows.add_rows(
        (
            PeerTraffic,
            {"ts": [NOW + 1, NOW + 2], "peer": [7, 8], "inbound": [True, False], "type": ["inv", "ping"], "bytes": [1, 2]},
        )
    )
    rows.add(MemoryState, NOW + 3, used=2)
    (first,) = rows.take(NOW)
    assert first.rows["memory_state"]["seq"].to_pylist() == [0, 3]
    assert first.rows["peer_traffic"]["seq"].to_pylist() == [1, 2]
    assert first.row_events["memory_state"].tolist() == [0, 3]
    assert first.events.tolist() == [NOW, NOW + 1, NOW + 2, NOW + 3]
    rows.add(MemoryState, NOW + 4, used=3)
    (second,) = rows.take(NOW)
    assert second.rows["memory_state"]["seq"].to_pylist() == [4]
    assert second.row_events["memory_state"].tolist() == [0]


def test_a_restart_begins_a_session(rows: Gathered) -> None:
    """Rows after a restart belong to a later session that counts from 0, and the former one has ended."""
    rows.add(MemoryState, NOW, used=1)
    rows.restart(NOW + SECOND)
    rows.add(MemoryState, NOW + SECOND, used=2)
    before, after = rows.take(NOW + SECOND, {"at": 1})
    assert before.ended
    assert not after.ended
    assert (before.identity.session, after.identity.session) == (NOW, NOW + SECOND)
    assert after.rows["memory_state"]["seq"].to_pylist() == [0]
    assert (before.position, after.position) == ({}, {"at": 1})


def test_a_restart_at_the_same_time_is_still_another_session(rows: Gathered) -> None:
    """Sessions never have the same time, whatever the clock says."""
    rows.restart(NOW - 5)
    assert rows.identity.session == NOW + 1


def test_blindness_is_told_when_it_begins_and_ends(rows: Gathered) -> None:
    """What is not seen is one row until its reason changes, and another one, over all of the time, when it is seen again."""
    rows.seen("log", NOW)
    for second in range(3):
        rows.unseen("log", "no file", NOW + second)
    rows.unseen("log", "closed", NOW + 5)
    rows.seen("log", NOW + 9)
    rows.seen("log", NOW + 10)
    (chunk,) = rows.take(NOW + 10)
    losses = chunk.rows[Loss.name].to_pylist()
    assert [(r["kind"], r["first_ts"], r["last_ts"]) for r in losses] == [
        ("blind", NOW, NOW),
        ("blind", NOW, NOW + 5),
        ("gap", NOW, NOW + 9),
    ]
    assert losses[2]["reason"] == "Seen again after: closed"
    assert {r["probe"] for r in losses} == {"log"}


def test_nothing_gathered_is_an_empty_chunk(rows: Gathered) -> None:
    """A chunk without rows carries the watermark."""
    (chunk,) = rows.take(NOW)
    assert (len(chunk.events), chunk.rows, chunk.watermark) == (0, {}, NOW)
    rows.add_rows((PeerTraffic, {"ts": [], "peer": [], "inbound": [], "type": [], "bytes": []}))
    assert not rows.waiting
