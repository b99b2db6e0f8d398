"""The USDT source on rings, counters and facts made by hand: what it hands over, exactly once, whatever ends it and when."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerwatch.schema.batch import SECOND
from peerwatch.schema.table import Identity
from peerwatch.sources._api import Chunk
from peerwatch.sources.usdt import source as module
from peerwatch.sources.usdt.link import Link, LinkClosedError, pair
from peerwatch.sources.usdt.made import SOURCE as MADE
from peerwatch.sources.usdt.probes import UNREADABLE
from peerwatch.sources.usdt.slots import ADDED, MAX_LIMIT, SPENT, UNCACHED, CaptureLimits
from peerwatch.sources.usdt.source import POISONED, UsdtSource
from tests.chunks import rows_of
from tests.unit.sources.usdt.by_hand import BOOTED, LOADED, HandTracer, event, message

LIMITS = CaptureLimits({"tx": 1000}, 256)
Row = dict[str, Any]


class Watcher:
    """What runs the source: rows are first handed over, then recorded (`disk` survives), and only then committed."""

    def __init__(self, tracer: HandTracer, disk: dict[Identity, Any], rows: list[tuple[str, Row]]) -> None:
        """Connect, and go on after what is recorded."""
        self.tracer, self.disk, self.rows = tracer, disk, rows
        self.pending: list[Chunk] = []
        self.watermarks: dict[Identity, int] = {}
        self.source = UsdtSource(tracer.connect(), lambda key: f"found-{len(key)}", self.position, LIMITS, tracer.time.clock())

    def position(self, identity: Identity) -> dict[str, Any]:
        """As the recorder says it: of what is on its way, else of what is recorded."""
        on_its_way = [c.position for c in self.pending if c.identity == identity and c.position]
        return dict(on_its_way[-1]) if on_its_way else self.disk.get(identity, {})

    def read(self, *, finish: bool = False) -> list[Chunk]:
        """Read once; every promise of a chunk is checked."""
        chunks = list(self.source.finish() if finish else self.source.read())
        for chunk in chunks:
            rows_of(chunk)
            set_back = [r for r in chunk.rows["loss"].to_pylist() if r["kind"] == "clock"] if "loss" in chunk.rows else []
            assert chunk.watermark >= self.watermarks.get(chunk.identity, 0) or set_back
            self.watermarks[chunk.identity] = chunk.watermark
        self.pending += chunks
        if self.tracer._sock is not None:
            self.tracer.hear()
        if self.tracer._sock is not None:
            self.tracer.tell()
        return chunks

    def record(self) -> None:
        """What was handed over is safe."""
        for chunk in self.pending:
            self.rows += rows_of(chunk)
            self.disk[chunk.identity] = json.loads(json.dumps(chunk.position))
        self.pending.clear()

    def commit(self) -> None:
        """Say so."""
        self.record()
        self.source.commit()
        self.tracer.hear()

    def settle(self, seconds: float = 2.0) -> None:
        """Read, record and commit until nothing more can come, with a beat after it."""
        for _ in range(3):
            idle = 0
            while idle < 3:  # a read that asks the tracer gives nothing
                before = self.source._handed_over
                idle = 0 if self.read() or before < self.source._handed_over else idle + 1
            self.tracer.time.pass_s(seconds)
        self.read()
        self.commit()

    def crash(self) -> Watcher:
        """Killed: what was not recorded is gone. The next one."""
        self.source.close()
        return Watcher(self.tracer, self.disk, self.rows)


@pytest.fixture
def tracer() -> Iterator[HandTracer]:
    made = HandTracer()
    yield made
    made.close()


@pytest.fixture
def watcher(tracer: HandTracer) -> Iterator[Watcher]:
    made = Watcher(tracer, {}, [])
    yield made
    made.source.close()


def of(watcher: Watcher, table: str, node: str = "alice", **where: Any) -> list[Row]:
    return [r for t, r in watcher.rows if t == table and r["node"] == node and all(r[k] == v for k, v in where.items())]


def seqs(watcher: Watcher, node: str = "alice") -> list[int]:
    return [r["seq"] for r in of(watcher, "message", node)]


def test_the_first_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tracer that says nothing, or is not there, is told from one that speaks."""
    ours, theirs = pair()
    link = Link(theirs)
    monkeypatch.setattr(module, "HELLO_S", 0.01)
    with pytest.raises(TimeoutError, match="is it running"):
        UsdtSource(link, str, lambda _: {}, LIMITS)
    ours.close()
    with pytest.raises(LinkClosedError):
        UsdtSource(link, str, lambda _: {}, LIMITS)
    link.close()


def test_limits_are_set(tracer: HandTracer) -> None:
    """The kernel is told how much to keep, of some types and of all others."""
    source = UsdtSource(tracer.connect(), str, lambda _: {}, CaptureLimits({"tx": 1 << 40}, 7, {"tx": 5}), tracer.time.clock())
    control = source._control._control
    limits = control["limits"][int(control["active"])]
    assert int(limits["other"]) == 7
    assert [MAX_LIMIT, 5] in limits["table"]["limit"].tolist()
    source.close()
    source.close()


def test_records_become_chunks_of_their_process(tracer: HandTracer, watcher: Watcher) -> None:
    """Messages and rows of two nodes come apart, in order, with UTC times; what is not ours leaves nothing."""
    tracer.process(4, "alice", session=10)
    tracer.process(2, "bob", session=20)
    tracer.process(7, session=30, ours=False)
    tracer.tell()
    for slot in (4, 2, 7, 4, 7, 2, 4):
        tracer.time.pass_s(0.001)
        tracer.fire(slot)
    tracer.fire(4, event("net:misbehaving_connection", peer=3, reason=b"why"))
    watcher.settle()
    assert (seqs(watcher), seqs(watcher, "bob")) == ([0, 1, 2], [0, 1])
    assert {(r["node"], r["session"], r["source"]) for t, r in watcher.rows if t == "message"} == {
        ("alice", LOADED + 10, "usdt"),
        ("bob", LOADED + 20, "usdt"),
    }
    first = of(watcher, "message")[0]
    assert first["ts"] - LOADED == 3600 * SECOND + SECOND // 1000
    assert [r["seq"] for r in of(watcher, "connection")] == [3]
    assert [(r["event"], r["pid"]) for t, r in watcher.rows if t == "node"] == [("started", 10), ("started", 20)]
    assert tracer.asked == []


def test_a_node_that_was_found_gets_its_name(tracer: HandTracer, watcher: Watcher) -> None:
    """The tracer knows a key only; the archive's name for it is used everywhere."""
    tracer.process(1, session=1, node=None, key="12345")
    tracer.tell()
    tracer.fire(1)
    watcher.settle()
    assert seqs(watcher, "found-5") == [0]


def test_every_process_has_a_chunk_each_second(tracer: HandTracer, watcher: Watcher) -> None:
    """Nothing happening is said, too: within a second nothing, then a chunk whose watermark is the present time."""
    tracer.process(1, session=1)
    tracer.tell()
    watcher.read()
    tracer.time.pass_s(0.9)
    assert watcher.read() == []
    tracer.time.pass_s(0.1)
    (chunk,) = watcher.read()
    assert (len(chunk.events), chunk.watermark) == (0, tracer.time.utc)
    tracer.time.pass_s(0.5)
    assert watcher.read() == []


def test_a_backlog_holds_the_watermark_back(tracer: HandTracer, watcher: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the ring holds more, only what was read counts as seen."""
    monkeypatch.setattr(module, "READ_BYTES", 64)
    tracer.process(1, session=1)
    tracer.tell()
    for _ in range(3):
        tracer.time.pass_s(5)
        tracer.fire(1)
    tracer.time.pass_s(100)
    marks = [(c.watermark - tracer.time.utc) // SECOND for _ in range(3) for c in watcher.read()]
    assert marks == [-110, -105, 0]


def test_an_unknown_process_stops_the_reading(tracer: HandTracer, watcher: Watcher) -> None:
    """Records behind one of an unknown slot wait; the tracer is asked; nothing of it counts as handed over before."""
    tracer.process(1, session=1)
    tracer.tell()
    tracer.fire(1)
    first_unknown = tracer.producer.end
    tracer.fire(2)
    tracer.fire(1)
    watcher.read()
    watcher.commit()
    assert (seqs(watcher), tracer.asked) == ([0], [2])
    assert watcher.source._ring.published == first_unknown
    assert not [c for c in watcher.read() if c.watermark == tracer.time.utc]
    tracer.process(2, "bob", session=2)
    tracer.tell()
    watcher.settle()
    assert (seqs(watcher), seqs(watcher, "bob")) == ([0, 1], [0])
    assert watcher.source._ring.published == tracer.producer.end


def test_waiting_records_come_once_after_a_crash(tracer: HandTracer, watcher: Watcher) -> None:
    """Killed while records of an unknown process wait, with what is before them recorded but not committed."""
    tracer.process(1, session=1)
    tracer.tell()
    tracer.fire(1)
    tracer.fire(2)
    tracer.fire(1)
    watcher.read()
    watcher.record()
    again = watcher.crash()
    tracer.process(2, "bob", session=2)
    again.settle()
    assert (seqs(again), seqs(again, "bob")) == ([0, 1], [0])


@pytest.mark.parametrize("ending", ["read", "recorded", "committed"])
def test_exactly_once_over_a_crash(tracer: HandTracer, watcher: Watcher, ending: str) -> None:
    """Killed before anything was recorded, between recording and committing, or after it: each record is in the archive once."""
    tracer.process(1, session=1)
    tracer.process(3, "bob", session=2)
    tracer.tell()
    for turn in range(4):
        for slot in (1, 3, 1):
            tracer.fire(slot)
        watcher.read()
        if ending != "read":
            watcher.record()
        if ending == "committed" or turn == 2:
            watcher.commit()
        watcher = watcher.crash()
    watcher.settle()
    assert (sorted(seqs(watcher)), sorted(seqs(watcher, "bob"))) == (list(range(8)), list(range(4)))
    assert [r["event"] for t, r in watcher.rows if t == "node"] == ["started", "started"]


@pytest.mark.parametrize("told_before", [True, False])
def test_what_a_watcher_took_and_could_not_record_is_said_by_the_next(
    tracer: HandTracer,
    watcher: Watcher,
    told_before: bool,  # noqa: FBT001
) -> None:
    """On a full disk rows are given up and the ring goes on; killed before it could tell, the next one counts them, once."""
    tracer.process(1, session=1)
    tracer.tell()
    if told_before:
        for _ in range(5):
            tracer.fire(1)
        watcher.settle()
    for _ in range(7):
        tracer.fire(1)
    watcher.read()
    watcher.pending.clear()  # not recorded …
    watcher.source.commit()  # … but forgotten
    for _ in range(3):
        tracer.fire(1)
    after = watcher.crash()
    tracer.fire(1)
    after.settle()
    again = after.crash()
    again.settle()
    lost = [(r["kind"], r["count"]) for r in of(again, "loss")]
    assert lost == [("dropped", 7)]
    assert len(seqs(again)) == (5 if told_before else 0) + 4


def test_a_position_in_another_ring_means_nothing(tracer: HandTracer) -> None:
    """What was recorded under an earlier load of the BPF program neither hides records nor losses of this one."""
    who = Identity("alice", LOADED + 1, "usdt")
    old = {"ring_session": LOADED - 1, "ring": 1 << 40, "fact": 99, "introduced": True, "made": 9, "declared": {"dropped": 7}}
    watcher = Watcher(tracer, {who: old}, [])
    tracer.process(1, session=1)
    tracer.tell()
    tracer.fire(1)
    tracer.count(1, seen=5, dropped=5, dropped_bytes=50)
    watcher.settle()
    assert seqs(watcher) == [0]
    assert [r["count"] for r in of(watcher, "loss")] == [5]
    watcher.source.close()


def test_losses_are_said_once(tracer: HandTracer, watcher: Watcher) -> None:
    """Counters that BPF keeps become rows with just what is new, over crashes at any moment, each with the time it is about."""
    tracer.process(1, session=1)
    tracer.tell()
    for round_number in range(3):
        tracer.count(1, seen=2, dropped=2, dropped_bytes=700, c0=10, c1=4, c2=1)
        tracer.fire(1, message("inbound", b"", size=9, flags=UNREADABLE))
        tracer.time.pass_s(1)
        watcher.read()
        if round_number != 1:
            watcher.record()
        watcher = watcher.crash()
    tracer.time.pass_s(1)
    watcher.settle()
    losses = of(watcher, "loss")
    assert {r["source"] for r in losses} == {MADE}
    total: Counter[tuple[str, str]] = Counter()
    for row in losses:
        total[row["kind"], "count"] += row["count"]
        total[row["kind"], "bytes"] += row["bytes"]
        assert LOADED + 1 <= row["first_ts"] <= row["last_ts"] == row["ts"]
    assert total == {("dropped", "count"): 6, ("dropped", "bytes"): 2100, ("unreadable", "count"): 3, ("unreadable", "bytes"): 0}
    dropped = [r for r in losses if r["kind"] == "dropped"]
    assert all(later["first_ts"] >= earlier["last_ts"] for earlier, later in pairwise(dropped))
    coins = of(watcher, "utxocache")
    assert tuple(sum(r[n] for r in coins) for n in ("added", "spent", "uncached")) == (30, 12, 3)
    assert (ADDED, SPENT, UNCACHED) == (0, 1, 2)


def test_an_unreadable_message_is_counted_and_kept(tracer: HandTracer, watcher: Watcher) -> None:
    """Its size and type are known; of its content nothing is kept."""
    tracer.process(1, session=1)
    tracer.tell()
    tracer.fire(1, message("inbound", bytes(50), type="tx", size=400, flags=UNREADABLE))
    watcher.settle()
    (row,) = of(watcher, "message")
    assert (row["type"], row["size"], row["kept"], row["unreadable"], row["error"]) == ("tx", 400, 0, True, None)


def test_hits_without_a_slot_are_blindness_of_all(tracer: HandTracer, watcher: Watcher) -> None:
    """Counted once for each node, also when they came while no watcher ran; what was before a node came is not its concern."""
    tracer.unassigned(3)
    tracer.process(1, session=1)
    tracer.process(2, "bob", session=2)
    tracer.tell()
    watcher.settle()
    assert of(watcher, "loss") == []
    watcher = watcher.crash()
    watcher.source.close()
    tracer.unassigned(8)
    watcher = Watcher(tracer, watcher.disk, watcher.rows)
    watcher.settle()
    watcher = watcher.crash()
    watcher.settle()
    for node in ("alice", "bob"):
        assert [(r["kind"], r["count"]) for r in of(watcher, "loss", node)] == [("blind", 5)]


def test_a_step_of_the_clock_is_said(tracer: HandTracer, watcher: Watcher) -> None:
    """Once, whenever within a second it happens, for every node; the watermark goes back with that row, and only then."""
    tracer.process(1, session=1)
    tracer.tell()
    watcher.read()
    tracer.time.pass_s(1)
    watcher.read()
    tracer.time.pass_s(0.6)
    watcher.read()
    tracer.time.offset -= 10 * SECOND
    for _ in range(6):
        tracer.time.pass_s(0.45)
        watcher.read()
    watcher.record()
    assert [(r["kind"], r["reason"]) for r in of(watcher, "loss")] == [("clock", "The wall clock stepped by -10000 ms.")]
    assert tracer.time.offset == BOOTED - 10 * SECOND


def test_a_restart_of_a_node(tracer: HandTracer, watcher: Watcher) -> None:
    """The end of one process and the next one, under a session of its own, with the gap between; the first is over then."""
    tracer.process(1, session=1)
    tracer.tell()
    tracer.fire(1)
    watcher.read()
    tracer.exited(1, session=1)
    tracer.process(None, session=50)
    gap = (tracer.time.utc, tracer.time.utc + SECOND)
    tracer.process(2, session=50, gap=gap)
    tracer.tell()
    tracer.fire(2)
    watcher.settle()
    assert [(r["session"] - LOADED, r["seq"]) for r in of(watcher, "message")] == [(1, 0), (50, 0)]
    assert [(r["event"], r["session"] - LOADED) for r in of(watcher, "node")] == [("started", 1), ("exited", 1), ("started", 50)]
    assert [(r["kind"], r["session"] - LOADED, r["first_ts"], r["last_ts"]) for r in of(watcher, "loss")] == [("gap", 50, *gap)]
    tracer.time.pass_s(1)
    assert [(c.identity.session - LOADED, c.ended) for c in watcher.read()] == [(50, False)]


def test_a_process_that_never_fired_ends(tracer: HandTracer, watcher: Watcher) -> None:
    """A parent that went into the background has no slot and no counters; it is over all the same, and said to be."""
    tracer.process(None, session=1)
    tracer.exited(None, session=1)
    tracer.process(3, session=9)
    tracer.tell()
    tracer.time.pass_s(1)
    chunks = watcher.read()
    assert [(c.identity.session - LOADED, c.ended) for c in chunks] == [(1, True), (9, False)]
    tracer.time.pass_s(1)
    assert [c.identity.session - LOADED for c in watcher.read()] == [9]


def test_an_end_waits_for_what_is_in_the_ring(tracer: HandTracer, watcher: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process is over with its last record, not with the news of its end or of its successor; only its last chunk says that
    nothing more will come.
    """
    monkeypatch.setattr(module, "READ_BYTES", 64)
    tracer.process(1, session=1)
    tracer.tell()
    for _ in range(5):
        tracer.fire(1)
    tracer.exited(1, session=1)
    tracer.process(None, session=9)
    tracer.tell()
    ended = []
    for _ in range(8):
        tracer.time.pass_s(1)
        ended += [(len(c.messages), c.ended) for c in watcher.read() if c.identity.session == LOADED + 1]
    assert [n for n, _ in ended] == [1] * 5
    assert [over for _, over in ended] == [False] * 4 + [True]


def test_a_node_that_is_down_is_still_watched(tracer: HandTracer, watcher: Watcher) -> None:
    """Its last process goes on saying how late it is, so that detectors notice the silence, until the next one does."""
    tracer.process(1, session=1)
    tracer.exited(1, session=1)
    tracer.tell()
    watcher.read()
    for _ in range(3):
        tracer.time.pass_s(1)
        assert [(c.identity.session - LOADED, c.watermark, c.ended) for c in watcher.read()] == [(1, tracer.time.utc, False)]
    tracer.process(None, session=9)
    tracer.tell()
    assert [(c.identity.session - LOADED, c.ended) for c in watcher.read()] == [(1, True), (9, False)]
    tracer.time.pass_s(1)
    assert [c.identity.session - LOADED for c in watcher.read()] == [9]


def test_late_records_of_an_ended_process(tracer: HandTracer, watcher: Watcher) -> None:
    """Records that a watcher finds in the ring after the end of their process was recorded are recorded, and it is over again."""
    tracer.process(1, session=1)
    tracer.tell()
    tracer.fire(1)
    watcher.read()
    tracer.exited(1, session=1)
    tracer.tell()
    watcher.read()
    watcher.commit()
    tracer.fire(1)  # as if the ring had not been read up to here
    watcher = watcher.crash()
    watcher.settle()
    assert (seqs(watcher), tracer.asked[-1]) == ([0, 1], 1)
    assert [r["event"] for r in of(watcher, "node")] == ["started", "exited"]
    tracer.process(None, session=9)
    tracer.tell()
    assert [(c.identity.session - LOADED, c.ended) for c in watcher.read()] == [(1, True), (9, False)]


def test_the_last_losses_come_with_the_end(tracer: HandTracer, watcher: Watcher) -> None:
    """What a process lost last is declared before the tracer may forget that there was one; a crash right after hides nothing."""
    tracer.process(1, session=1)
    tracer.tell()
    watcher.read()
    watcher.commit()
    tracer.fire(1)
    tracer.count(1, seen=3, dropped=3, dropped_bytes=30, c0=7)
    tracer.exited(1, session=1)
    tracer.tell()
    watcher.read()
    watcher.commit()
    watcher = watcher.crash()
    watcher.settle()
    assert [(r["kind"], r["count"], r["bytes"]) for r in of(watcher, "loss")] == [("dropped", 3, 30)]
    assert [r["added"] for r in of(watcher, "utxocache")] == [7]


def test_a_process_is_introduced_once(tracer: HandTracer, watcher: Watcher) -> None:
    """Told before it fires and again when it has its slot, with a crash between, it makes one row, and one for the gap."""
    tracer.process(None, session=1)
    tracer.tell()
    watcher.read()
    watcher.record()
    watcher = watcher.crash()
    tracer.process(1, session=1, gap=(LOADED, LOADED + 1))
    tracer.tell()
    watcher.settle()
    assert [r["event"] for r in of(watcher, "node")] == ["started"]
    assert [r["kind"] for r in of(watcher, "loss")] == ["gap"]


def test_processes_have_names(tracer: HandTracer, watcher: Watcher) -> None:
    """A process is known by its node as long as it runs, so that other sources can call it the same."""
    tracer.process(1, session=1)
    tracer.tell()
    watcher.read()
    assert [watcher.source.node_of(pid) for pid in (1, 2)] == ["alice", None]
    tracer.exited(1, session=1)
    tracer.tell()
    watcher.read()
    assert watcher.source.node_of(1) is None


def test_one_chunk_a_second_speaks_for_a_node(tracer: HandTracer, watcher: Watcher) -> None:
    """What is only said about a node, beside its process, has a chunk when it is said, and none each second."""
    tracer.process(1, session=1)
    tracer.blind("alice", None, "something")
    tracer.tell()
    assert {c.identity.session - LOADED for c in watcher.read()} == {0, 1}
    tracer.time.pass_s(1)
    assert [c.identity.session - LOADED for c in watcher.read()] == [1]


def test_what_cannot_be_seen_is_said_once(tracer: HandTracer, watcher: Watcher) -> None:
    """Of one node, of a node without a process, of all, and of all before there is any: one row each, over crashes."""
    tracer.blind(reason="early")
    tracer.process(1, session=1)
    tracer.process(2, "bob", session=2)
    tracer.blind("alice", "mempool:added", "no such probe")
    tracer.blind("carol", None, "turned away")
    tracer.blind(reason="late")
    tracer.tell()
    for _ in range(2):
        watcher.read()
        watcher.record()
        watcher = watcher.crash()
    watcher.settle()
    watcher = watcher.crash()
    watcher.settle()
    said = Counter((r["node"], r["probe"], r["reason"]) for t, r in watcher.rows if t == "loss" and r["kind"] == "blind")
    assert set(said.values()) == {1}
    assert said.keys() == {
        ("alice", None, "early"),
        ("alice", "mempool:added", "no such probe"),
        ("carol", None, "turned away"),
        ("alice", None, "late"),
        ("bob", None, "late"),
    }
    assert {r["session"] for t, r in watcher.rows if r["node"] == "carol"} == {LOADED}


def test_facts_that_concern_all_wait_for_somebody(tracer: HandTracer, watcher: Watcher) -> None:
    """With no process at all they stay with the tracer, through crashes, until there is one."""
    tracer.blind(reason="no rights")
    tracer.process(9, session=3, ours=False)
    tracer.tell()
    for _ in range(2):
        watcher.settle()
        watcher = watcher.crash()
    tracer.process(1, session=1)
    tracer.tell()
    watcher.settle()
    assert [r["reason"] for r in of(watcher, "loss")] == ["no rights"]
    assert tracer.journal.after(0)[0].number == 3


@pytest.mark.parametrize("recorded_first", [False, True])
def test_a_poisoned_ring_is_skipped(tracer: HandTracer, watcher: Watcher, recorded_first: bool) -> None:  # noqa: FBT001
    """After watchers in a row that recorded nothing, what lies in the ring is passed over, with the exact number of each node."""
    tracer.process(1, session=1)
    tracer.process(2, "bob", session=2)
    tracer.process(3, session=3, ours=False)
    tracer.tell()
    for slot in (1, 2, 3, 1):
        tracer.fire(slot)
    watcher.read()
    if recorded_first:
        watcher.record()
    for slot in (1, 1, 2, 3):
        tracer.fire(slot)
    for _ in range(POISONED):
        watcher = watcher.crash()
    tracer.fire(1)  # what comes later is read as ever
    tracer.time.pass_s(1)
    watcher.read()
    watcher.record()
    watcher = watcher.crash()
    watcher.settle()
    lost = {n: [(r["kind"], r["count"], r["bytes"]) for r in of(watcher, "loss", n)] for n in ("alice", "bob")}
    kept = (2, 1) if recorded_first else (0, 0)
    assert lost == {"alice": [("dropped", 4 - kept[0], 8 * (4 - kept[0]))], "bob": [("dropped", 2 - kept[1], 8 * (2 - kept[1]))]}
    assert seqs(watcher) == [*range(kept[0]), 4]
    assert f"{POISONED} watchers" in of(watcher, "loss")[0]["reason"]
    assert tracer.barren == 0


def test_skipping_waits_for_everybody(tracer: HandTracer, watcher: Watcher) -> None:
    """As long as one process is not told, nothing of what is skipped counts as handed over: a crash then changes nothing."""
    tracer.process(1, session=1)
    tracer.tell()
    tracer.fire(1)
    tracer.fire(2)
    for _ in range(POISONED):
        watcher = watcher.crash()
    tracer.time.pass_s(1)
    watcher.read()
    watcher.record()
    watcher = watcher.crash()
    watcher.read()
    watcher.record()
    assert of(watcher, "loss") == []
    assert watcher.source._ring.published == 0
    tracer.process(2, "bob", session=2)
    tracer.tell()
    watcher.settle()
    assert [r["count"] for n in ("alice", "bob") for r in of(watcher, "loss", n)] == [1, 1]
    assert (seqs(watcher), seqs(watcher, "bob")) == ([], [])


def test_finishing_takes_what_was_there(tracer: HandTracer, watcher: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the run is stopped everything in the ring is handed over, in pieces, and a node that goes on firing does not keep
    it from ending.
    """
    monkeypatch.setattr(module, "READ_BYTES", 64)
    tracer.process(1, session=1)
    tracer.tell()
    for _ in range(5):
        tracer.fire(1)
    taken = 0
    while chunks := watcher.read(finish=True):
        taken += sum(len(c.messages) for c in chunks)
        tracer.fire(1)
    assert taken == 5
    assert watcher.read(finish=True) == []
    watcher.commit()
    watcher = watcher.crash()
    watcher.settle()
    assert seqs(watcher) == list(range(10))


def test_finishing_does_not_wait_for_an_answer(tracer: HandTracer, watcher: Watcher) -> None:
    """Records of a process that is not told stay in the ring for the next watcher."""
    tracer.deaf = True
    tracer.process(1, session=1)
    tracer.tell()
    tracer.fire(1)
    tracer.fire(2)
    while watcher.read(finish=True):
        pass
    watcher.commit()
    assert seqs(watcher) == [0]
    assert watcher.source._ring.published < tracer.producer.end


def test_when_the_tracer_dies_the_rest_is_read(tracer: HandTracer, watcher: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in the ring and in the counters is still handed over; then, and only then, the end of the tracer is an error."""
    monkeypatch.setattr(module, "READ_BYTES", 64)
    tracer.process(1, session=1)
    tracer.tell()
    watcher.read()
    for _ in range(4):
        tracer.fire(1)
    tracer.count(1, seen=2, dropped=2)
    tracer.exited(1, session=1)
    tracer.tell()
    tracer.part()
    for _ in range(4):
        assert watcher.read()
    with pytest.raises(LinkClosedError):
        watcher.read()
    watcher.record()
    watcher.source.commit()
    assert seqs(watcher) == [0, 1, 2, 3]
    assert [r["count"] for r in of(watcher, "loss")] == [2]
    assert [r["event"] for r in of(watcher, "node")] == ["started", "exited"]
    assert watcher.source._ring.published == tracer.producer.end
    watcher.source.close()


class World:
    """Some nodes that come, fire, lose, and go, watched by watchers that are killed all the time; and what really happened."""

    def __init__(self) -> None:
        """Nothing has happened."""
        self.tracer = HandTracer()
        self.watcher = Watcher(self.tracer, {}, [])
        self.running: dict[str, tuple[int, int]] = {}
        self.waiting: list[str] = []
        self.used = 0
        self.facts: Counter[tuple[str, int, str]] = Counter()
        self.blinds: Counter[str] = Counter()
        self.slots: dict[int, tuple[str, int]] = {}

    def do(self, what: str, node: str) -> None:
        """One step."""
        getattr(self, what)(node)

    def start(self, node: str) -> None:
        """A process begins to fire; the tracer finds out later."""
        if node not in self.running:
            self.running[node] = (self.used, 10 * self.used + 1)
            self.slots[self.used] = (node, 10 * self.used + 1)
            self.used += 1
            self.waiting.append(node)
            self.fire(node)

    def tell(self, node: str) -> None:
        """The tracer finds out, and says when there was nothing."""
        if node in self.waiting:
            self.waiting.remove(node)
            slot, session = self.running[node]
            self.tracer.process(None, node, session=session)
            ran = any(n == node and s < session for n, s, what in self.facts if what == "exited")
            gap = (LOADED, LOADED + 1) if ran else None
            self.tracer.process(slot, node, session=session, gap=gap)
            self.facts[node, session, "started"] += 1
            self.facts[node, session, "gap"] += ran

    def fire(self, node: str) -> None:
        """Some records, and counters."""
        if node in self.running:
            slot, _ = self.running[node]
            self.tracer.fire(slot)
            self.tracer.fire(slot, event("mempool:rejected", txid=bytes(32), reason=b"x"))

    def lose(self, node: str) -> None:
        """Records without room in the ring."""
        if node in self.running:
            self.tracer.count(self.running[node][0], seen=3, dropped=3, c0=2)

    def end(self, node: str) -> None:
        """The process ends, if the tracer knows it."""
        if node in self.running and node not in self.waiting:
            slot, session = self.running.pop(node)
            self.tracer.exited(slot, node, session=session)
            self.facts[node, session, "exited"] += 1

    def blind(self, node: str) -> None:
        """Something of a node cannot be seen, whether it runs or not."""
        reason = f"reason {len(self.blinds)}"
        self.blinds[reason] = 1
        self.tracer.blind(node, None, reason)

    def foreign(self, _node: str) -> None:
        """A process that is no node fires, and the tracer says so."""
        self.tracer.process(self.used, session=10 * self.used + 1, ours=False)
        self.tracer.fire(self.used)
        self.used += 1

    def read(self, _node: str) -> None:
        """The watcher reads, some time later."""
        self.tracer.time.pass_s(0.7)
        self.watcher.read()

    def record(self, _node: str) -> None:
        """The watcher records."""
        self.watcher.record()

    def commit(self, _node: str) -> None:
        """The watcher commits."""
        self.watcher.commit()

    def crash(self, _node: str) -> None:
        """The watcher is killed."""
        self.watcher = self.watcher.crash()

    def judge(self) -> None:
        """Let it all come to an end, and compare."""
        for node in list(self.waiting):
            self.tell(node)
        self.tracer.tell()
        self.watcher.settle()
        self.watcher.settle()
        rows = self.watcher.rows
        lost: Counter[tuple[str, int]] = Counter()
        passed: Counter[tuple[str, int]] = Counter()
        coins: Counter[tuple[str, int]] = Counter()
        for table, row in rows:
            who = (row["node"], row["session"] - LOADED)
            if table == "loss" and row["kind"] == "dropped":
                (passed if "passed over" in row["reason"] else lost)[who] += row["count"]
            if table == "utxocache":
                coins[who] += row["added"]
        for slot, who in self.slots.items():
            records = [r["seq"] for t, r in rows if t in ("message", "mempool") and (r["node"], r["session"] - LOADED) == who]
            assert len(set(records)) == len(records), "a record came twice"
            counters = self.tracer.slots[slot]
            assert len(records) + passed[who] == counters["sent"]
            assert lost[who] == counters["dropped"]
            assert coins[who] == counters["counted"][ADDED]
            made = [r["seq"] for t, r in rows if r["source"] == MADE and (r["node"], r["session"] - LOADED) == who]
            assert sorted(made) == list(range(len(made)))
        facts = Counter((r["node"], r["session"] - LOADED, r["event"]) for t, r in rows if t == "node")
        facts += Counter((r["node"], r["session"] - LOADED, "gap") for t, r in rows if t == "loss" and r["kind"] == "gap")
        assert facts == +self.facts
        assert Counter(r["reason"] for t, r in rows if t == "loss" and r["kind"] == "blind") == self.blinds
        assert self.tracer.time.offset == BOOTED


STEPS = ["start", "tell", "fire", "fire", "lose", "end", "blind", "foreign", "read", "read", "record", "commit", "crash"]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(STEPS), st.sampled_from(["alice", "bob"])), max_size=60),
    st.sampled_from([64, 300, 1 << 20]),
)
def test_everything_is_recorded_once_whatever_happens(steps: list[tuple[str, str]], read_bytes: int) -> None:
    """Nodes start, fire, lose records, end and start again, and watchers are killed at any point between: every record is in
    the archive once or counted as passed over, and every loss, start, end, gap and blind spot is there once.
    """
    world = World()
    with closing(world.tracer), pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "READ_BYTES", read_bytes)
        for what, node in steps:
            world.do(what, node)
            world.tracer.tell()
        world.judge()
