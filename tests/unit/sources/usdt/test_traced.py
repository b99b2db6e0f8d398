"""One traced process between chunks. What it is over crashes is tried in test_source."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from peerwatch.schema.table import Identity
from peerwatch.sources._api import Chunk
from peerwatch.sources.usdt.link import Blind, Exited, Process
from peerwatch.sources.usdt.slots import SLOT
from peerwatch.sources.usdt.traced import Traced
from tests.unit.sources.usdt.by_hand import LOADED, event, message
from tests.unit.sources.usdt.test_records import laid_out

WHO = Identity("alice", LOADED + 5, "usdt")
PROCESS = Process(3, 77, 2, True, "key", "alice", LOADED + 5, LOADED + 4, "started", None, None)


def traced(recorded: dict[str, Any] | None = None, *, ring_session: int = LOADED, unassigned: int = 0) -> Traced:
    return Traced(WHO, ring_session, recorded or {}, unassigned)


def take(process: Traced, records: list[bytes], offset: int = 0) -> None:
    process.records(*laid_out(records), offset)


def counters(**values: int) -> np.ndarray:
    row = np.zeros(1, SLOT)
    for name, value in values.items():
        row[name] = value
    return row[0]


def resumed(chunk: Chunk) -> Traced:
    """What goes on after a chunk was recorded."""
    return traced(json.loads(json.dumps(chunk.position)))


def test_nothing_yet() -> None:
    """A process of which nothing is known runs not, has nothing to say, and starts at the ring's beginning."""
    process = traced()
    assert (process.has_news, process.runs, process.is_over, process.gone) == (False, False, False, False)
    assert (process.slot, process.recorded_to) == (None, 0)
    chunk = process.chunk(0, None)
    assert (len(chunk.events), len(chunk.messages), dict(chunk.rows)) == (0, 0, {})
    assert chunk.watermark == WHO.session


def test_records_and_made_rows_make_one_chunk() -> None:
    """Made rows follow what was recorded, also in a table that both have; events number all of them."""
    process = traced()
    process.told(PROCESS, answer=False)
    take(
        process,
        [message("inbound", b"", ts=10, seq=0), event("utxocache:flush", ts=11, seq=1), message("inbound", b"", ts=12, seq=2)],
    )
    process.account(counters(counted=[4, 0, 0, 0, 0, 0, 0, 0]), 0, LOADED + 100)
    assert process.has_news
    chunk = process.chunk(64, LOADED + 100)
    assert chunk.events.tolist() == [10, 11, 12, LOADED + 5, LOADED + 100]
    assert chunk.message_events.tolist() == [0, 2]
    assert {name: of.tolist() for name, of in chunk.row_events.items()} == {"utxocache": [1, 4], "node": [3]}
    rows = chunk.rows["utxocache"].to_pylist()
    assert [(r["event"], r["source"], r["seq"]) for r in rows] == [("flush", "usdt", 1), ("second", "tracer", 1)]
    assert not process.has_news
    assert process.chunk(64, None).rows == {}


def test_the_watermark_never_goes_back() -> None:
    """Not when the ring holds more, nor when the clock was set back."""
    process = traced()
    assert process.chunk(0, LOADED + 1000).watermark == LOADED + 1000
    assert process.chunk(0, LOADED + 10).watermark == LOADED + 1000
    take(process, [message("inbound", b"", ts=20)], LOADED)
    assert process.chunk(0, None).watermark == LOADED + 1000
    take(process, [message("inbound", b"", ts=2000), message("inbound", b"", ts=1500)], LOADED)
    assert process.chunk(0, None).watermark == LOADED + 2000


def test_the_ring_position_never_goes_back() -> None:
    """A chunk that is made while less is handed over than is recorded keeps what is recorded."""
    process = traced({"ring_session": LOADED, "ring": 500})
    assert process.recorded_to == 500
    assert process.chunk(300, None).position["ring"] == 500
    assert process.chunk(600, None).position["ring"] == process.recorded_to == 600


def test_it_goes_on_after_its_last_chunk() -> None:
    """Facts that were told, counts that were declared and numbers that were given are not used a second time."""
    process = traced(unassigned=7)
    process.told(PROCESS, answer=False)
    process.blind(Blind(4, LOADED + 9, LOADED + 8, LOADED + 9, "mempool:added", "key", "alice", "why"))
    process.blind_with_all(Blind(2, LOADED + 9, LOADED + 8, LOADED + 9, None, None, None, "why"))
    process.account(counters(dropped=3, dropped_bytes=30, unreadable=1), 8, LOADED + 50)
    process.exited(Exited(5, 77, 2, "key", "alice", LOADED + 5, LOADED + 60))
    first = process.chunk(64, LOADED + 70)
    assert sum(batch.num_rows for batch in first.rows.values()) == 7
    again = resumed(first)
    again.told(PROCESS, answer=False)
    again.blind(Blind(4, LOADED + 9, LOADED + 8, LOADED + 9, "mempool:added", "key", "alice", "why"))
    again.blind_with_all(Blind(2, LOADED + 9, LOADED + 8, LOADED + 9, None, None, None, "why"))
    again.exited(Exited(5, 77, 2, "key", "alice", LOADED + 5, LOADED + 60))
    again.account(counters(dropped=3, dropped_bytes=30, unreadable=1), 8, LOADED + 80)
    assert not again.has_news
    again.account(counters(dropped=4, dropped_bytes=31, unreadable=1), 8, LOADED + 90)
    (row,) = again.chunk(64, LOADED + 90).rows["loss"].to_pylist()
    assert (row["count"], row["bytes"], row["first_ts"], row["last_ts"], row["seq"]) == (1, 1, LOADED + 80, LOADED + 90, 7)


def test_a_position_of_another_ring_is_forgotten() -> None:
    """All of it: the ring, the facts and the counters began anew."""
    process = traced()
    process.told(PROCESS, answer=False)
    process.account(counters(dropped=3), 0, LOADED + 50)
    position = dict(process.chunk(64, None).position)
    other = traced(position, ring_session=LOADED + 1)
    assert (other.recorded_to, other.made.made) == (0, 0)
    other.told(PROCESS, answer=False)
    assert other.has_news


def test_a_span_is_never_backwards() -> None:
    """A loss that is noticed after the clock was set back is about no time, not about a negative one."""
    process = traced()
    process.account(None, 0, LOADED + 1000)
    process.account(counters(dropped=1), 0, LOADED + 100)
    (row,) = process.chunk(0, None).rows["loss"].to_pylist()
    assert row["first_ts"] == row["last_ts"] == LOADED + 100


@pytest.mark.parametrize("answer", [False, True])
def test_coming_back(answer: bool) -> None:  # noqa: FBT001 - a table
    """Told again after its end, a process runs until its end is told again; unless it was asked for, then that has been."""
    process = traced()
    process.told(PROCESS, answer=False)
    assert process.runs
    process.exited(Exited(5, 77, 2, "key", "alice", LOADED + 5, LOADED + 60))
    process.account(None, 0, LOADED + 61)
    assert process.is_over
    again = resumed(process.chunk(0, None))
    again.told(PROCESS, answer=answer)
    assert (again.runs, again.gone) == (not answer, answer)
    again.account(None, 0, LOADED + 62)
    assert again.is_over == answer


def test_order() -> None:
    """A successor comes after its predecessor, and both after what is only said about the node."""
    first, second = traced(), Traced(Identity("alice", LOADED + 6, "usdt"), LOADED, {}, 0)
    later = Traced(Identity("alice", LOADED + 7, "usdt"), LOADED, {}, 0)
    first.told(PROCESS, answer=False)
    second.told(PROCESS, answer=False)
    assert sorted([second, later, first], key=lambda t: t.order) == [later, first, second]


def test_the_last_chunk_says_so() -> None:
    """Only when the caller knows that nothing more will come."""
    process = traced()
    assert [process.chunk(0, 1).ended, process.chunk(0, 1, last=True).ended] == [False, True]
