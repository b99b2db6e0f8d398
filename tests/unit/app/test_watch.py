"""The loop: in which order things happen, and what survives what."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from peerwatch.app import watch as module
from peerwatch.app.pipeline import Outcome, Pipeline, Settings
from peerwatch.app.state import FOLDER
from peerwatch.app.watch import MOST_WAITING, Watch
from peerwatch.schema.batch import SECOND
from peerwatch.sinks._api import SinkRefusedError, SinkUnavailableError
from peerwatch.sources._api import Chunk
from peerwatch.sources.usdt.ring import Ring
from peerwatch.sources.usdt.slots import CaptureLimits
from peerwatch.sources.usdt.source import UsdtSource
from peerwatch.store.archive import Archive
from peerwatch.store.query import Query
from peerwatch.store.wal import Segment
from tests.chunks import cut
from tests.unit.app.test_pipeline import flood
from tests.unit.sources.test_pace import ALICE, BOB, chunk
from tests.unit.sources.usdt.by_hand import LOADED, HandTracer

ROOT = Path(__file__).parents[3]
START = 1_760_054_400 * SECOND


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive.create_or_open(tmp_path / "archive") as opened:
        yield opened


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every round writes, and none waits."""
    monkeypatch.setattr(module, "FLUSH_NS", 0)
    monkeypatch.setattr(module, "POLL_S", 0)


def settings(**more: Any) -> Settings:
    return Settings(bytes(40), START, {}, **more)


def seqs(archive: Archive, node: str = "alice") -> list[int]:
    return Query(archive.path).table(f"SELECT seq FROM message WHERE node = '{node}' ORDER BY seq")["seq"].to_pylist()


class Script:
    """A source that does what the test says, and remembers what was asked of it."""

    name = "script"

    def __init__(self, *reads: list[Chunk] | Exception, rest: Sequence[list[Chunk]] = (), live: bool = False) -> None:
        """Give `reads`, one after the other, and `rest` when it is finished; a live one goes on without end."""
        self.live = live
        self._reads = list(reads)
        self._rest = list(rest)
        self.calls: list[str] = []
        self.committed: Callable[[], None] = lambda: None

    def read(self) -> Sequence[Chunk] | None:
        """The next."""
        self.calls.append("read")
        if not self._reads:
            return [] if self.live else None
        given = self._reads.pop(0)
        if isinstance(given, Exception):
            raise given
        return given

    def finish(self) -> Sequence[Chunk]:
        """What is left."""
        self.calls.append("finish")
        return self._rest.pop(0) if self._rest else []

    def commit(self) -> None:
        """Look at what is recorded."""
        self.calls.append("commit")
        self.committed()

    def close(self) -> None:
        """Note it."""
        self.calls.append("close")


def numbered(first: int, count: int, **more: Any) -> Chunk:
    """Messages with sequence numbers from `first` on, a second apart."""
    made = chunk([START + (first + i) * SECOND for i in range(count)], more.pop("who", ALICE), **more)
    made.messages.seq[:] = np.arange(first, first + count)
    return made


def test_committing_comes_after_recording(archive: Archive) -> None:
    """Each time a source is told that it may forget, everything that it gave is in the archive; the last time, too."""
    source = Script([numbered(0, 2)], [], [numbered(2, 1)], [numbered(3, 4)])
    seen: list[int] = []
    source.committed = lambda: seen.append(len(seqs(archive)))
    Watch(archive, settings()).run([source])
    assert seen == [2, 2, 3, 7, 7, 7]
    assert source.calls[-1] == "close"
    assert seqs(archive) == list(range(7))


def test_a_source_that_has_ended_may_forget(archive: Archive) -> None:
    """Its last chunks are committed although it is not read any more, and the others go on."""
    short, long = Script([numbered(0, 1)]), Script([numbered(0, 1, who=BOB)], [], [], [numbered(1, 1, who=BOB)])
    Watch(archive, settings()).run([short, long])
    assert short.calls == ["read", "commit", "read", *["commit"] * 5, "close"]
    assert (seqs(archive), seqs(archive, "bob")) == ([0], [0, 1])


def test_what_a_source_held_back_is_recorded(archive: Archive) -> None:
    """When it has ended while others go on, its last second is written before its segment is closed."""
    going = Script([numbered(0, 1, who=BOB)], live=True)
    found: list[int] = []

    def look() -> bool:
        found.append(len(Query(archive.path).table("SELECT * FROM weird WHERE node = 'alice'")))
        return len(found) > 3

    Watch(archive, settings()).run([Script([numbered(0, 1, ended=True)]), going], look)
    assert found == [0, 1, 1, 1]
    assert len(Query(archive.path).table("SELECT * FROM weird WHERE node = 'alice'")) == 1


def test_stopping_takes_what_is_left(archive: Archive) -> None:
    """A live source is asked until it has nothing more, and detection sees the end of the last second."""
    source = Script([numbered(0, 1)], rest=[[numbered(1, 2)], [numbered(3, 1, messages=[])], [numbered(4, 1)]], live=True)
    rounds = iter(range(5))
    loop = Watch(archive, settings())
    loop.run([source], lambda: next(rounds) >= 3)
    assert source.calls[-7:] == ["commit", "finish", "finish", "finish", "finish", "commit", "close"]
    assert seqs(archive) == [0, 1, 2, 4]
    assert loop.pipelines["alice"].runner.second == START // SECOND + 5


def test_an_error_of_a_source_keeps_what_was_read(archive: Archive) -> None:
    """It comes out of the loop, after what was gathered is recorded, and every source is closed."""
    bad, good = Script([numbered(0, 2)], OSError("gone")), Script([numbered(0, 1, who=BOB)], live=True)
    with pytest.raises(OSError, match="gone"):
        Watch(archive, settings()).run([good, bad])
    assert (seqs(archive), seqs(archive, "bob")) == ([0, 1], [0])
    assert (bad.calls[-1], good.calls[-1]) == ("close", "close")


class Sink:
    """A sink that fails as the test says: a list of errors, None for what works."""

    name = "sink"

    def __init__(self, *outcomes: type[Exception] | None) -> None:
        """Go through these, then work."""
        self._outcomes = list(outcomes)
        self.tried = 0
        self.got: list[tuple[str, int]] = []

    def write(self, incidents: pa.RecordBatch) -> None:
        """Take rows, or not."""
        self.tried += 1
        outcome = self._outcomes.pop(0) if self._outcomes else None
        if outcome is not None:
            raise outcome("no")
        self.got += [(r["incident"], r["seq"]) for r in incidents.to_pylist()]

    def close(self) -> None:
        """Nothing."""


def attack() -> Script:
    """A flood in small chunks."""
    return Script(*[[piece] for piece in cut(flood(), 200)])


def incidents(archive: Archive) -> list[tuple[str, int]]:
    return [(r["incident"], r["seq"]) for r in Query(archive.path).table("SELECT * FROM incident ORDER BY seq").to_pylist()]


def test_sinks_get_every_state_in_order(archive: Archive) -> None:
    """One that does not work for a while gets everything later, once; another is not held up by it; recording goes on."""
    good, broken = Sink(), Sink(*[SinkUnavailableError] * 5)
    Watch(archive, settings(), [broken, good]).run([attack()])
    expected = incidents(archive)
    assert len(expected) > 3
    assert good.got == broken.got == expected


def test_what_a_sink_refuses_is_passed_over(archive: Archive) -> None:
    """It is not tried again, and the next ones are."""
    sink = Sink(SinkRefusedError)
    Watch(archive, settings(), [sink]).run([attack()])
    expected = incidents(archive)
    assert sink.got == expected[-len(sink.got) :]
    assert 0 < len(sink.got) < len(expected)


def test_a_sink_that_never_works_costs_bounded_memory(archive: Archive) -> None:
    """Of what waits the oldest is dropped."""
    loop = Watch(archive, settings(), [Sink(*[SinkUnavailableError] * 10_000)])
    pipeline = Pipeline("alice", settings())
    outcome = next(o for c in flood() if "incident" in (o := pipeline.feed(c)).detected)
    for _ in range(MOST_WAITING + 50):
        loop._record(pipeline, outcome)
    assert [len(waiting) for _, waiting in loop._sinks] == [MOST_WAITING]


def test_an_observer_sees_everything(archive: Archive) -> None:
    """Every chunk with its outcome, and the end of every round."""

    class Observer:
        seen: list[tuple[str, int]] = []  # noqa: RUF012 - the test's only one
        pulses = 0

        def saw(self, chunk: Chunk, outcome: Outcome) -> None:
            self.seen.append((chunk.identity.node, outcome.rows["message"].num_rows))

        def pulse(self) -> None:
            self.pulses += 1

    observer = Observer()
    Watch(archive, settings(), observer=observer).run([Script([numbered(0, 2), numbered(0, 3, who=BOB)], [numbered(2, 1)])])
    assert observer.seen == [("alice", 2), ("bob", 3), ("alice", 1)]
    assert observer.pulses == 3


def test_a_live_run_goes_on_with_its_detectors(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """State of the detectors survives, of live sources only; a snapshot that does not fit leaves no trace."""
    monkeypatch.setattr("peerwatch.app.state.BEHIND_S", 10**12)  # the test's time is long ago
    first = Watch(archive, settings())
    first.run([Script([numbered(0, 3)], live=True)], iter([False, True]).__next__)
    second = Watch(archive, settings())
    second.run([Script([numbered(5, 1)], live=True)], iter([False, True]).__next__)
    state = second.pipelines["alice"].snapshot()
    assert state["runner"]["since"] == START // SECOND
    path = archive.path / FOLDER / "alice.json"
    assert json.loads(path.read_text()) == state
    path.write_text(json.dumps(state | {"runner": None}))
    third = Watch(archive, settings())
    third.run([Script([numbered(10, 1)], live=True)], iter([False, True]).__next__)
    assert third.pipelines["alice"].runner.snapshot()["since"] == START // SECOND + 10
    replay = Watch(archive, settings())
    replay.run([Script([numbered(0, 1)])])
    assert replay.pipelines["alice"].runner.second == START // SECOND + 1


def test_a_full_disk(tmp_path: Path) -> None:
    """On a real file system that is full for a minute: detection goes on and alerts are told meanwhile, what was recorded before
    stays, recording goes on afterwards, and a row says exactly how much is missing.
    """
    if os.geteuid() != 0 and subprocess.run(["unshare", "-Urm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("needs root or user namespaces, to mount a small file system")
    unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    program = [*unshare, sys.executable, Path(__file__).with_name("fill_disk.py"), tmp_path]
    done = subprocess.run(program, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["kept"]
    assert report["lost"] > 1000
    assert report["lost and recorded"] == 0
    assert report["said"] == report["given up"] > report["lost"]
    assert report["bytes said"]
    assert report["numbers"]
    assert report["times"]
    assert all(report["times"])
    assert report["reasons"] == ["Not recording: the disk of the archive is full; free some space, or move the archive."]
    assert {"addr_flood", "unrecorded"} <= set(report["alerts"])


# -- killed at any moment ----------------------------------------------------------------------------------------------------


class Killed:
    """Ends this process with SIGKILL right before or after the n-th of the steps that change something outside of it."""

    def __init__(self, patch: pytest.MonkeyPatch, moment: int) -> None:
        """Count down from `moment`; two moments a step."""
        self._left = moment
        for owner, name in ((Segment, "append"), (Segment, "create"), (Ring, "publish"), (UsdtSource, "commit")):
            patch.setattr(owner, name, self._around(getattr(owner, name)))

    def _around(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def around(*args: Any, **kwargs: Any) -> Any:
            self._tick()
            result = step(*args, **kwargs)
            self._tick()
            return result

        return around

    def _tick(self) -> None:
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1


def watch_in_child(tracer: HandTracer, root: Path, moment: int) -> bool:
    """Watch in a forked process that is killed at a moment, or ends when all is recorded. Whether it ended by itself."""
    link = tracer.connect()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 70
        try:
            with pytest.MonkeyPatch.context() as patch:
                Killed(patch, moment)
                with Archive.create_or_open(root) as archive:
                    loop = Watch(archive, settings())
                    source = UsdtSource(link, str, loop.recorder.position, CaptureLimits({}, 256), tracer.time.clock())
                    rounds = iter(range(10**6))
                    loop.run([source], lambda: next(rounds) > 10)
            status = 0
        finally:
            os._exit(status)
    while True:
        if tracer._sock is not None:
            tracer.hear()
        if tracer._sock is not None:
            tracer.tell()
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            link.close()
            assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGKILL)
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.0005)


def test_killed_at_any_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A watcher is killed before and after each single step of recording, while a node is restarted twice: every record, start,
    end, gap and loss is in the real archive exactly once.
    """
    monkeypatch.setattr(module, "POLL_S", 0.0005)
    monkeypatch.setattr(module.Snapshots, "save", lambda *_args, **_kwargs: None)
    monkeypatch.setattr(module, "open_incidents", lambda *_args: [])
    root = tmp_path / "archive"
    tracer = HandTracer()
    fired: list[tuple[int, int]] = []
    session, slot = LOADED + 10, 1
    tracer.process(slot, session=10)
    for moment in range(100):
        tracer.time.pass_s(1.5)
        tracer.barren = 0  # what a watcher does that is said to be the fourth in a row is tried elsewhere
        if moment in (4, 8):
            fired.append((session, tracer.fire(slot)))
            tracer.exited(slot, session=session - LOADED)
            slot, session = slot + 1, session + 10
            tracer.process(slot, session=session - LOADED, gap=(LOADED, LOADED + 1))
        fired += [(session, tracer.fire(slot)) for _ in range(3)]
        tracer.count(slot, seen=2, dropped=2, dropped_bytes=100)
        if watch_in_child(tracer, root, moment):
            break
    tracer.close()
    assert moment > 10
    query = Query(root)
    messages = query.table("SELECT session, seq FROM message ORDER BY ALL").to_pylist()
    assert [(r["session"], r["seq"]) for r in messages] == fired
    node = query.table("SELECT session, event FROM node ORDER BY session, seq").to_pylist()
    assert [(r["session"] - LOADED, r["event"]) for r in node] == [
        (10, "started"), (10, "exited"), (20, "started"), (20, "exited"), (30, "started"),
    ]  # fmt: skip
    lost = query.table("SELECT session, kind, count, seq FROM loss ORDER BY ALL").to_pylist()
    dropped: Counter[int] = Counter()
    for row in lost:
        dropped[row["session"] - LOADED] += row["count"]
    assert dropped == {10 * s: int(tracer.slots[s]["dropped"]) for s in (1, 2, 3)}
    assert Counter(r["session"] - LOADED for r in lost if r["kind"] == "gap") == {20: 1, 30: 1}


def test_a_segment_that_cannot_be_sealed_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On stderr, when it begins and not with every flush."""
    monkeypatch.setattr(Archive, "sealing_failure", "cannot seal usdt-1: no space")
    with Archive.create_or_open(tmp_path / "archive") as archive:
        loop = Watch(archive, Settings(archive.inventory_key, 1, {}))
        for _ in range(3):
            loop._flush([], now=True)
    assert capsys.readouterr().err == "cannot seal usdt-1: no space; nothing is lost, it is tried again\n"
