"""The runner: seconds, isolation, completeness, snapshots."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
import pytest

from peerwatch.detect._api import Detector, Finding, Kind, Severity, SubjectKind
from peerwatch.detect.runner import FAILURES, Runner
from peerwatch.schema.batch import SECOND, Batch, Rows
from peerwatch.schema.tables.connection import Connection
from peerwatch.schema.tables.message import Message
from tests.builders import IDENTITY, START, Stream, at, cut


class Recording(Detector):
    """Records what it is given, and finds every second that had messages."""

    title: ClassVar = "for tests"
    catalogue: ClassVar = ()
    references: ClassVar = ()
    reads: ClassVar = {Message: ("ts", "seq", "peer"), Connection: ("peer",)}
    kinds: ClassVar = (Kind("seen", Severity.NOTICE, "Seen.", "messages", "Nothing."),)
    options: ClassVar = {}

    def __init__(self) -> None:
        """Nothing recorded yet."""
        super().__init__()
        self.calls: list[Any] = []
        self.now: list[int] = []

    def update(self, rows: Mapping[str, Rows]) -> Iterable[Finding]:
        """Record tables and peers."""
        self.calls += [(name, sorted(table["peer"].tolist())) for name, table in rows.items()]
        if "message" in rows:
            self.now += rows["message"]["seq"].tolist()
        return ()

    def tick(self, second: int) -> Iterable[Finding]:
        """Record the second."""
        self.calls.append(second - START)
        now, self.now = self.now, []
        if now:
            yield finding(second, now)

    def snapshot(self) -> dict[str, Any]:
        """Rows of the present second."""
        return {"now": self.now}

    def restore(self, state: Mapping[str, Any]) -> None:
        """As said."""
        self.now = list(state["now"])


class Failing(Recording):
    """Fails in every tick that had rows."""

    def tick(self, second: int) -> Iterable[Finding]:
        """Fail."""
        if self.now:
            raise RuntimeError("bad \x1b[31m luck")
        yield from super().tick(second)


class FailingUpdate(Recording):
    """Fails with every row."""

    def update(self, rows: Mapping[str, Rows]) -> Iterable[Finding]:
        """Fail."""
        raise ValueError(f"{len(rows)} tables")


class Undeclared(Recording):
    """Finds what it does not declare."""

    kinds: ClassVar = ()


def finding(second: int, seqs: list[int]) -> Finding:
    """A finding about a second."""
    first, last = second * SECOND, (second + 1) * SECOND - 1
    return Finding("seen", SubjectKind.PEER, "1", first, last, 1.0, float(len(seqs)), (0.0, 0.0), "seen:x", peers=(1, 2))


def messages(*seconds: float) -> Stream:
    """A message of peer 1 at each time."""
    stream = Stream()
    for second in seconds:
        stream.message(at(second), 1, "ping")
    return stream


def two(*detectors: Detector) -> list[Detector]:
    """Detectors of one module have one name: give each its own."""
    for nth, detector in enumerate(detectors):
        detector.name = f"{type(detector).__name__}{nth}"  # type: ignore[misc]
    return list(detectors)


def test_every_second_is_given_whole_and_ticked_once():
    """Rows of a second, then its tick; quiet seconds are ticked, too; what the watermark passed is over."""
    detector = Recording()
    Runner("alice", [detector]).feed(messages(0.1, 0.9, 3.5).batch(at(5.2)))
    assert detector.calls == [("message", [1, 1]), 0, 1, 2, ("message", [1]), 3, 4]


def test_second_is_not_over_before_the_clock_says_so():
    """The present second waits for later rows; finish ends it."""
    detector = Recording()
    runner = Runner("alice", [detector])
    assert runner.feed(messages(0.1).batch(at(0.9))) == []
    assert [d.finding.measured for d in runner.feed(messages(0.95).batch())] == []
    assert [d.finding.measured for d in runner.finish()] == [2.0]
    assert runner.second == START + 1


def test_late_row_belongs_to_the_present_second():
    """Time never goes back: an old row is given now, with its own time."""
    detector = Recording()
    found = Runner("alice", [detector]).feed(messages(0.5, 7.5, 2.5, 7.6).batch(at(9)))
    assert [(d.second - START, d.finding.measured) for d in found] == [(0, 1.0), (7, 3.0)]


def test_watermark_before_the_first_event_starts_nothing():
    """The clock starts with the first event, wherever earlier batches were cut."""
    detector = Recording()
    runner = Runner("alice", [detector])
    runner.feed(Batch(IDENTITY, at(-50), {}, np.zeros(0, np.int64), {}))
    assert (runner.second, runner.finish(), detector.calls) == (0, [], [])
    runner.feed(messages(0.5).batch(at(1)))
    assert detector.calls == [("message", [1]), 0]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_cuts_do_not_matter(size):
    """Late rows, pauses of seconds and hours, several tables: the same ticks and findings for any cut."""
    rng = np.random.default_rng(11)
    stream, now = Stream(), 0.0
    for peer in range(300):
        now += rng.choice([0.01, 0.3, 2, 700, 5000], p=[0.6, 0.3, 0.07, 0.02, 0.01])
        ts = at(now - rng.exponential(0.5))
        if rng.random() < 0.2:
            stream.opened(ts, peer)
        else:
            stream.message(ts, peer, "ping")
    batch = stream.batch(at(now + 3))
    results = []
    for batches in ([batch], list(cut(batch, size))):
        detector = Recording()
        runner = Runner("alice", [detector])
        found = [each for part in batches for each in runner.feed(part)] + runner.finish()
        results.append((found, [c for c in detector.calls if isinstance(c, int)], runner.snapshot()))
    assert results[0] == results[1]


def test_several_sources_feed_one_node():
    """Batches of another source drive the same clock."""
    detector = Recording()
    runner = Runner("alice", [detector])
    runner.feed(messages(0.5).batch())
    other = Stream(IDENTITY.__class__("alice", 5, "debuglog"))
    other.opened(at(4), 8)
    runner.feed(other.batch())
    runner.feed(messages(3.9).batch())
    assert detector.calls == [("message", [1]), 0, 1, 2, 3, ("connection", [8]), ("message", [1])]


def test_failing_detector_is_isolated_and_disabled():
    """It is reported with its error, escaped, stopped after some failures, and the others go on."""
    good, bad = two(Recording(), Failing())
    runner = Runner("alice", [bad, good])
    found = runner.feed(messages(*range(10)).batch(at(20)))
    failed = [each for each in found if each.kind.name == "detector_failed"]
    assert [each.finding.measured for each in failed] == [1.0, 2.0, 3.0]
    assert len(failed) == FAILURES
    assert failed[-1].finding.facts == {"detector": bad.name, "error": r"RuntimeError: bad \x1b[31m luck", "state": "disabled"}
    assert runner.running[bad.name].disabled
    assert sum(each.detector == good.name for each in found) == 10


def test_failures_of_one_second_count_once():
    """A detector that fails for every batch of a second failed once in it, however the second was cut."""
    stream = messages(0.1, 0.2, 0.3, 0.4, 1.5)
    counts = []
    for size in (1, 5):
        runner = Runner("alice", [FailingUpdate()])
        found = [each for part in cut(stream.batch(at(3)), size) for each in runner.feed(part)]
        counts.append([(each.second - START, each.finding.measured) for each in found])
    assert counts == [[(0, 1.0), (1, 2.0)]] * 2


def test_undeclared_finding_is_a_failure():
    """A kind that a detector does not declare cannot be explained to anybody."""
    found = Runner("alice", [Undeclared()]).feed(messages(0).batch(at(2)))
    assert [each.kind.name for each in found] == ["detector_failed"]


def test_tables_without_a_column_are_withheld():
    """An archive that lacks a column does not break a detector, and it is known which one."""
    detector = Recording()
    runner = Runner("alice", [detector])
    batch = messages(0, 1).batch(at(3))
    poor = {"message": batch.tables["message"].drop_columns(["peer"])}
    runner.feed(Batch(IDENTITY, batch.watermark, poor, batch.events, batch.event_of))
    assert detector.calls == [0, 1, 2]
    assert runner.running[detector.name].withheld == {"message": ["peer"]}


def test_findings_say_how_much_was_seen_and_who():
    """A loss of half the events in a finding's time halves its completeness; peers come with their addresses."""
    stream = messages(*[0.1] * 9)
    stream.opened(at(0.2), 1)
    stream.loss(at(0.5), "dropped", count=11)
    stream.message(at(2), 1, "ping")
    found = Runner("alice", [Recording()]).feed(stream.batch(at(4)))
    assert [each.finding.completeness for each in found] == [0.5, 1.0]
    assert found[0].addresses == {1: "192.0.2.1:8333"}


def test_restart_of_the_node_forgets_addresses_and_sight():
    """After a start of the node, peer ids are others', and warm-up begins again."""
    stream = Stream()
    stream.opened(at(0), 1)
    stream.message(at(100), 1, "ping")
    stream.node(at(200), "started")
    stream.message(at(207), 1, "ping")
    found = Runner("alice", [Recording()]).feed(stream.batch(at(300)))
    assert [(each.in_sight_s, each.addresses) for each in found] == [(100, {1: "192.0.2.1:8333"}), (7, {})]


def test_node_is_known_to_detectors():
    """Detectors name the node in identifiers and queries."""
    detector = Recording()
    Runner("bob", [detector])
    assert detector.node == "bob"


def test_cost_is_measured_by_the_clock_given():
    """Each call costs what the clock says, and nothing without a clock."""
    ticks = iter(range(0, 10_000, 10))
    measured, free = Runner("alice", [Recording()], clock=lambda: next(ticks)), Runner("alice", [Recording()])
    for runner in (measured, free):
        runner.feed(messages(0, 1).batch(at(2)))
    assert [r.cost_ns for r in measured.running.values()] == [40]
    assert [r.cost_ns for r in free.running.values()] == [0]
    assert [r.findings for r in free.running.values()] == [2]


@pytest.mark.parametrize("split", [1, 3, 4])
def test_snapshot_goes_on(split):
    """Through JSON, in the middle of a second: as if nothing had happened."""
    stream = messages(0.1, 0.2, 0.3, 5.5, 5.6)
    stream.loss(at(6), "dropped", count=5)
    stream.message(at(6.5), 1, "ping")
    parts = list(cut(stream.batch(at(9)), 1))
    whole = Runner("alice", [Recording()])
    expected = [each for part in parts for each in whole.feed(part)]
    first, second = Runner("alice", [Recording()]), Runner("alice", [Recording()])
    found = [each for part in parts[:split] for each in first.feed(part)]
    second.restore(json.loads(json.dumps(first.snapshot())))
    found += [each for part in parts[split:] for each in second.feed(part)]
    assert found == expected


def test_snapshot_of_other_detectors():
    """A detector that a snapshot does not know starts afresh."""
    runner = Runner("alice", [Recording()])
    runner.feed(messages(0.5).batch())
    old = runner.snapshot()
    old["detectors"] = {}
    restored = Runner("alice", [Recording()])
    restored.restore(old)
    assert restored.second == START
    assert restored.finish() == []


def set_back(*, to: float = 50) -> Stream:
    """Messages until 100 s, then the clock is set to an earlier time, and a message comes a second later."""
    stream = messages(0.5, 100.2, 100.7)
    stream.loss(at(to), "clock", first=at(100.9))
    stream.message(at(to + 1.5), 1, "ping")
    return stream


def test_clock_that_is_set_back():
    """The present second is finished with its rows, and the next ones are those of the new time, each ticked once."""
    detector = Recording()
    runner = Runner("alice", [detector])
    found = runner.feed(set_back().batch(at(53.5)))
    assert detector.calls[-7:] == [99, ("message", [1, 1]), 100, 50, ("message", [1]), 51, 52]
    assert [(d.second - START, d.elapsed - START, d.finding.measured) for d in found] == [
        (0, 0, 1.0),
        (100, 100, 2.0),
        (51, 102, 1.0),
    ]
    assert (runner.second - START, runner.elapsed - START) == (53, 104)


@pytest.mark.parametrize(("to", "back"), [(97.9, True), (98.0, False), (100.9, False), (4000, False)])
def test_clock_row_that_sets_nothing_back(to, back):
    """Up to two seconds are made up for by waiting; forwards is no step back."""
    runner = Runner("alice", [Recording()])
    found = runner.feed(set_back(to=to).batch(at(to))) + runner.finish()
    assert (runner.elapsed > runner.second) is back
    assert found[1].second == START + 100


def test_only_a_clock_row_sets_back():
    """A loss of another kind, or any other row, from long ago is late."""
    stream = messages(0.5, 100)
    stream.loss(at(50), "gap")
    stream.message(at(51), 1, "ping")
    runner = Runner("alice", [Recording()])
    runner.feed(stream.batch(at(100)))
    assert (runner.second, runner.elapsed) == (START + 100, START + 100)


def test_clock_set_back_on_a_quiet_node():
    """The present second is that of the watermark when no event came since; a clock row before all others is no step."""
    runner = Runner("alice", [Recording()])
    stream = Stream()
    stream.loss(at(0), "clock")
    runner.feed(stream.batch(at(90)))
    assert runner.elapsed == runner.second == START + 90
    stream = Stream()
    stream.loss(at(80), "clock")
    runner.feed(stream.batch(at(80)))
    assert (runner.second, runner.elapsed) == (START + 80, START + 91)


def test_set_back_starts_afresh_but_for_who_is_connected():
    """Sight, warm-up and detectors begin anew: what they keep is of times to come. Addresses stay."""
    stream = messages(*[30.1] * 9)
    stream.opened(at(40.2), 1)
    stream.loss(at(41.5), "dropped", count=900)
    stream.append(set_back(to=40))
    detector = Recording()
    (*_, last) = Runner("alice", [detector]).feed(stream.batch(at(45)))
    assert (last.second, last.in_sight_s, last.finding.completeness) == (START + 41, 1, 1.0)
    assert last.addresses == {1: "192.0.2.1:8333"}


class Remembering(Recording):
    """Keeps what it is given, and is told by how much the clock was set back."""

    def tick(self, second: int) -> Iterable[Finding]:
        """Find all messages so far."""
        if self.now:
            yield finding(second, self.now)

    def clock_set_back(self, by_s: int, fresh: Mapping[str, Any]) -> None:
        """As said."""
        self.calls.append(("back", by_s))
        super().clock_set_back(by_s, fresh)


class Stuck(Recording):
    """Cannot start afresh."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Fail."""
        raise KeyError(str(state))


def test_detectors_start_afresh_each_time():
    """By default from the state before any row, which rows do not change; one that fails at it is reported, others go on."""
    detector, stuck = two(Remembering(), Stuck())
    assert isinstance(detector, Remembering)
    stream = set_back(to=50)
    stream.loss(at(20), "clock")
    stream.message(at(21), 1, "ping")
    found = Runner("alice", [stuck, detector]).feed(stream.batch(at(22)))
    assert [call for call in detector.calls if isinstance(call, tuple) and call[0] == "back"] == [("back", 50), ("back", 31)]
    by_second = {d.second - START: d.finding.measured for d in found if d.detector == detector.name}
    assert by_second == {**dict.fromkeys(range(100), 1), 100: 3, 51: 1, 21: 1}
    assert [d.second - START for d in found if d.kind.name == "detector_failed"] == [50, 20]


def test_failure_in_the_same_second_of_a_clock_that_was_set_back():
    """It is another second, and another failure."""
    runner, stream = Runner("alice", [FailingUpdate()]), Stream()
    found = runner.feed(messages(50.5).batch(at(60)))
    stream.loss(at(50), "clock")
    stream.message(at(50.7), 1, "ping")
    found += runner.feed(stream.batch(at(52)))
    assert [(d.second - START, d.finding.measured) for d in found] == [(50, 1), (50, 2)]
    assert [d.back_s for d in found] == [0, 11]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_cuts_do_not_matter_when_the_clock_is_set_back(size):
    """Again and again, with late rows and pauses: the same ticks, findings and state for any cut."""
    rng = np.random.default_rng(12)
    stream, now = Stream(), 0.0
    for peer in range(300):
        now += rng.choice([0.01, 0.3, 2, 700], p=[0.6, 0.3, 0.08, 0.02])
        ts = at(now - rng.exponential(0.5))
        if rng.random() < 0.05:
            now -= rng.choice([1, 3, 60, 3600])
            stream.loss(at(now), "clock")
        elif rng.random() < 0.2:
            stream.opened(ts, peer)
        else:
            stream.message(ts, peer, "ping")
    batch = stream.batch(at(now + 3))
    results = []
    for batches in ([batch], list(cut(batch, size))):
        detector = Recording()
        runner = Runner("alice", [detector])
        found = [each for part in batches for each in runner.feed(part)] + runner.finish()
        assert [d.elapsed for d in found] == sorted(d.elapsed for d in found)
        assert found[-1].back_s > 3600
        results.append((found, [c for c in detector.calls if isinstance(c, int)], runner.snapshot(), runner.elapsed))
    assert results[0] == results[1]


def test_elapsed_goes_on_from_the_wall_clock_after_a_restart():
    """What was set back before is not counted: incidents of an archive have the times of the wall clock."""
    first, second = Runner("alice", [Recording()]), Runner("alice", [Recording()])
    first.feed(set_back().batch(at(53)))
    second.restore(json.loads(json.dumps(first.snapshot())))
    assert (second.second, second.elapsed) == (START + 53, START + 53)


DAY = 86_400


def test_event_far_ahead_of_its_batch_does_not_move_the_clock():
    """Whoever wrote it was wrong: it is given in the present second. Up to a day ahead it is believed, and so is a watermark."""
    detector = Recording()
    runner = Runner("alice", [detector])
    runner.feed(messages(0.5, 3 + DAY + 2, 1.5, 2.5).batch(at(3)))
    assert detector.calls == [("message", [1, 1]), 0, ("message", [1]), 1, ("message", [1]), 2]
    runner.feed(messages(3 + DAY).batch(at(3.5)))
    assert runner.second == START + 3 + DAY
    runner.feed(messages(9 * DAY).batch(at(9 * DAY)))
    assert runner.second == START + 9 * DAY


def test_first_event_far_ahead():
    """The clock starts with the watermark."""
    runner = Runner("alice", [Recording()])
    runner.feed(messages(2 * DAY).batch(at(5.5)))
    assert runner.second == START + 5


def test_clock_row_far_ahead_sets_nothing_back():
    """Its time is not believed, so it is none to go on from."""
    stream = messages(100)
    stream.loss(at(3 * DAY), "clock")
    runner = Runner("alice", [Recording()])
    runner.feed(stream.batch(at(101)))
    assert (runner.second, runner.elapsed) == (START + 101, START + 101)


def test_node_restarted_while_nobody_looked():
    """After going on from a snapshot, another process that is found has others' peers and warms up; the same one has not."""
    stream = Stream()
    stream.node(at(0), "found", started=at(-9))
    stream.opened(at(1), 1)
    before = Runner("alice", [Recording()])
    before.feed(stream.batch(at(2)))
    results = []
    for started in (at(50), at(-9) + 1000):
        after = Runner("alice", [Recording()])
        after.restore(json.loads(json.dumps(before.snapshot())))
        stream = Stream()
        stream.node(at(100), "found", started=started)
        stream.message(at(103), 1, "ping")
        (found,) = after.feed(stream.batch(at(105)))
        results.append((found.in_sight_s, found.addresses))
    assert results == [(3, {}), (103, {1: "192.0.2.1:8333"})]
