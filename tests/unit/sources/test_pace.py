"""Chunks cut in parts, and a finished source at the speed of its own clock."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwatch.schema.batch import SECOND
from peerwatch.schema.table import Identity
from peerwatch.schema.tables.ping import Ping
from peerwatch.sources._api import Chunk, Source
from peerwatch.sources.pace import Paced, part
from peerwatch.wire.raw import PAD, RawMessages, TypeNames

ALICE, BOB = Identity("alice", 1, "capture"), Identity("bob", 2, "capture")


def chunk(
    times: Sequence[int],
    who: Identity = ALICE,
    *,
    messages: Sequence[int] | None = None,
    watermark: int | None = None,
    ended: bool = False,
) -> Chunk:
    """Events at these times; those in `messages` (all, by default) are messages, the others two pings each."""
    events = np.array(times, np.int64)
    said = np.array(range(len(times)) if messages is None else messages, np.int64)
    pinged = np.repeat(np.setdiff1d(np.arange(len(times)), said), 2)
    n = len(said)
    raw = RawMessages(
        buf=np.arange(n + PAD, dtype=np.uint8), ts=events[said], seq=said, peer=said % 3, inbound=said % 2 == 0,
        type=np.zeros(n, np.int16), size=np.ones(n, np.int64), kept=np.ones(n, np.int64), start=np.arange(n),
        unreadable=np.zeros(n, bool), names=TypeNames().names,
    )  # fmt: skip
    true = [True] * len(pinged)
    columns = {"ts": events[pinged], "seq": pinged, "peer": pinged, "inbound": true, "pong": true, "nonce": None}
    rows = {"ping": Ping.build(who, columns)} if len(pinged) else {}
    of = {"ping": pinged} if len(pinged) else {}
    last = max(times, default=0) if watermark is None else watermark
    return Chunk(who, last, raw, events, said, rows, of, {"at": len(times)}, ended)


def contents(chunks: Sequence[Chunk]) -> tuple[list[int], list[tuple[int, int, int, bytes]], list[dict[str, Any]]]:
    """Events, messages and rows of chunks one after the other; that each says itself what belongs to what."""
    events: list[int] = []
    messages: list[tuple[int, int, int, bytes]] = []
    rows: list[dict[str, Any]] = []
    for c in chunks:
        m = c.messages
        assert m.ts.tolist() == c.events[c.message_events].tolist()
        assert c.rows.keys() == c.row_events.keys()
        for i in range(len(m)):
            number = len(events) + int(c.message_events[i])
            messages.append((number, int(m.seq[i]), int(m.peer[i]), m.buf[m.start[i] : m.start[i] + m.kept[i]].tobytes()))
        for name, batch in c.rows.items():
            assert batch.num_rows
            assert batch.column("ts").to_pylist() == c.events[c.row_events[name]].tolist()
            rows += batch.to_pylist()
        events += c.events.tolist()
    return events, messages, rows


times = st.lists(st.integers(0, 5 * SECOND), min_size=1, max_size=30)


@given(times=times, data=st.data())
def test_parts_make_up_the_whole(times: list[int], data: st.DataObject) -> None:
    """Cut anywhere, any number of times: events, messages and rows are all there once, and belong together as before."""
    said = data.draw(st.lists(st.integers(0, len(times) - 1), unique=True).map(sorted))
    whole = chunk(times, messages=said, watermark=10 * SECOND, ended=True)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(times)), max_size=6)))
    edges = [0, *cuts, len(times)]
    parts = [part(whole, a, b) for a, b in pairwise(edges)]
    assert contents(parts) == contents([whole])


def test_only_the_last_part_speaks_for_the_whole() -> None:
    """Position, watermark and end go with the part that has the last event; before, the watermark is the latest event so far."""
    whole = chunk([5, 9, 7, 8], watermark=20, ended=True)
    first, second, third = part(whole, 0, 1), part(whole, 1, 3), part(whole, 3, 4)
    assert [(p.watermark, p.position, p.ended) for p in (first, second, third)] == [
        (5, {}, False),
        (9, {}, False),
        (20, {"at": 4}, True),
    ]
    empty = part(whole, 4, 4)
    assert (len(empty.events), empty.watermark, empty.position, empty.ended) == (0, 20, {"at": 4}, True)


class Given:
    """A source that gives what the test has prepared, a list of chunks at a time."""

    name = "given"
    live = False

    def __init__(self, *reads: list[Chunk]) -> None:
        """Give these, one after the other."""
        self.reads = list(reads)
        self.calls: list[str] = []

    def read(self) -> Sequence[Chunk] | None:
        """The next ones."""
        return self.reads.pop(0) if self.reads else None

    def finish(self) -> Sequence[Chunk]:
        """Nothing."""
        return []

    def commit(self) -> None:
        """Note it."""
        self.calls.append("commit")

    def close(self) -> None:
        """Note it."""
        self.calls.append("close")


class Clock:
    """Stands still until the test moves it."""

    now = 77 * SECOND

    def __call__(self) -> int:
        """Now, ns."""
        return self.now


def paced(*reads: list[Chunk], speed: float = 1.0) -> tuple[Paced, Clock]:
    clock = Clock()
    return Paced(Given(*reads), speed, clock), clock


def test_events_come_when_it_is_their_time() -> None:
    """The first at once, the others as much later as they happened later, divided by the speed."""
    source, clock = paced([chunk([100 * SECOND, 101 * SECOND, 104 * SECOND])], speed=2)
    seen = []
    for _ in range(7):
        seen.append([c.events.tolist() for c in source.read() or []])
        clock.now += SECOND // 2
    flat = [[t // SECOND for c in chunks for t in c] for chunks in seen]
    assert flat == [[100], [101], [], [], [104], [], []]
    assert source.read() is None


def test_it_is_live_and_says_how_late_it_is() -> None:
    """While nothing is due there is an empty chunk for each second that passes, and none more often."""
    source, clock = paced([chunk([100 * SECOND, 110 * SECOND])])
    assert source.live
    assert [len(c.events) for c in source.read() or []] == [1]
    marks = []
    for _ in range(8):
        clock.now += SECOND // 2
        marks.append([(len(c.events), c.watermark // SECOND) for c in source.read() or []])
    assert marks == [[], [(0, 101)], [], [(0, 102)], [], [(0, 103)], [], [(0, 104)]]


def test_nodes_go_side_by_side() -> None:
    """One that is busy does not hold up another, and each stays in its own order."""
    source, clock = paced(
        [chunk([100 * SECOND, 160 * SECOND], watermark=160 * SECOND), chunk([101 * SECOND], BOB, watermark=160 * SECOND),
         chunk([161 * SECOND], watermark=161 * SECOND)]
    )  # fmt: skip
    source.read()
    clock.now += SECOND
    assert [(c.identity.node, len(c.events)) for c in source.read() or []] == [("alice", 0), ("bob", 1)]
    clock.now += 60 * SECOND
    chunks = source.read() or []
    assert [(c.identity.node, len(c.events), c.position) for c in chunks] == [
        ("alice", 1, {"at": 2}),
        ("bob", 0, {"at": 1}),
        ("alice", 1, {"at": 1}),
    ]
    assert source.read() is None


def test_a_node_keeps_its_order() -> None:
    """What comes later waits for what comes before, though it was earlier."""
    source, clock = paced([chunk([100 * SECOND, 160 * SECOND]), chunk([101 * SECOND], watermark=160 * SECOND)])
    seen = []
    for _ in range(62):
        seen += [t // SECOND for c in source.read() or [] for t in c.events.tolist()]
        clock.now += SECOND
    assert seen == [100, 160, 101]


@given(
    reads=st.lists(st.tuples(times, st.sampled_from([ALICE, BOB])), min_size=1, max_size=4),
    steps=st.lists(st.integers(0, SECOND), max_size=60),
)
def test_nothing_is_lost_or_early_and_no_watermark_goes_back(reads: list[tuple[list[int], Identity]], steps: list[int]) -> None:
    """Whenever it is asked: events in order, none before its time, watermarks rising, positions only when all before is given."""
    source, clock = paced(*[[chunk(ts, who, messages=range(0, len(ts), 2))] for ts, who in reads])
    out: list[Chunk] = []
    first, begins = min(reads[0][0]), clock.now + (steps or [SECOND])[0]
    for step in [*steps, *[SECOND] * 12]:
        clock.now += step
        due = first + clock.now - begins
        for c in source.read() or []:
            assert c.events.max(initial=0) <= due
            out.append(c)
    for who in (ALICE, BOB):
        mine = [c for c in out if c.identity == who]
        marks = [c.watermark for c in mine]
        assert marks == sorted(marks)
        wholes = [chunk(ts, w, messages=range(0, len(ts), 2)) for ts, w in reads if w == who]
        assert contents(mine) == contents(wholes)
        assert [c.position["at"] for c in mine if c.position] == [len(ts) for ts, w in reads if w == who]


def test_stopping() -> None:
    """What is not due is left out; commits and closing reach the source, twice too."""
    inner = Given([chunk([100 * SECOND, 200 * SECOND])])
    source: Source = Paced(inner, 1.0, Clock())
    assert source.name == "given"
    assert source.read()
    assert source.finish() == []
    assert source.read() is None
    source.commit()
    source.close()
    source.close()
    assert inner.calls == ["commit", "close", "close"]


def test_a_source_that_has_nothing_yet_is_asked_again() -> None:
    """An empty read is not the end, and time begins with the first event."""
    source, clock = paced([], [chunk([100 * SECOND, 101 * SECOND])])
    assert source.read() == []
    clock.now += 50 * SECOND
    assert [len(c.events) for c in source.read() or []] == [1]


@pytest.mark.parametrize("speed", [0.5, 60.0])
def test_rows_are_as_before(speed: float) -> None:
    """Columns of a part are those of the table, whatever the speed."""
    source, clock = paced([chunk([100 * SECOND, 101 * SECOND, 102 * SECOND], messages=[1])], speed=speed)
    out: list[Chunk] = []
    while (given := source.read()) is not None:
        out += given
        clock.now += SECOND // 7
    batches = [c.rows["ping"] for c in out if "ping" in c.rows]
    assert all(isinstance(b, pa.RecordBatch) and b.schema.equals(Ping.arrow) for b in batches)
    assert [b.num_rows for b in batches] == [2, 2]
