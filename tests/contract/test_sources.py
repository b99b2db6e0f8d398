"""What every source promises, tried on each but USDT, which needs a tracer: that is in tests/unit/sources/usdt/test_source.py."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerwatch.app.pipeline import Settings
from peerwatch.app.watch import Watch
from peerwatch.schema.batch import SECOND
from peerwatch.schema.registry import all_tables
from peerwatch.sources._api import Chunk, Source
from peerwatch.sources.archive import ArchiveSource
from peerwatch.sources.capture import CaptureSource
from peerwatch.sources.pace import Paced
from peerwatch.sources.simulation.events import INBOUND, OUTBOUND
from peerwatch.sources.simulation.folder import write_simulation
from peerwatch.sources.simulation.simulation import Plan, Simulation
from peerwatch.sources.simulation.source import SimulationSource
from peerwatch.store.archive import Archive
from peerwatch.store.history import History
from peerwatch.store.query import Query
from tests.chunks import chunks_of, rows_of

START = 1_760_054_400 * SECOND
PLAN = Plan("addr-flood-2021", 3, START, 40 * SECOND, 0.2, {"start_s": 2, "duration_s": 20, "rate": 4, "peers": 2})
CAPTURE = Path(__file__).parents[1] / "data/captures/filter-node0"

Counts = dict[tuple[bool, str], int]
"""Messages by direction and type."""


@cache
def folders() -> Path:
    """A folder with a written simulation and an archive of the same, made once for all tests of this process."""
    holder = TemporaryDirectory()
    folders.holder = holder  # type: ignore[attr-defined]
    root = Path(holder.name)
    write_simulation(PLAN, root / "simulation", "alice")
    with Archive.create_or_open(root / "archive") as archive:
        Watch(archive, Settings(archive.inventory_key, START, {})).run([SimulationSource.simulated(PLAN, "alice")])
    return root


@pytest.fixture(scope="module", autouse=True)
def _folders() -> Iterator[None]:
    yield
    if folders.cache_info().currsize:
        folders.holder.cleanup()  # type: ignore[attr-defined]
        folders.cache_clear()


class Clock:
    """Goes on by a tenth of a second whenever it is looked at."""

    now = 0

    def __call__(self) -> int:
        """Now, ns."""
        self.now += SECOND // 10
        return self.now


def history() -> History:
    return History(folders() / "archive", all_tables().keys() - {"finding", "incident"})


def counted_events() -> Counts:
    """Messages that the simulation makes, counted in its events."""
    counts: Counter[tuple[bool, str]] = Counter()
    for window in Simulation(PLAN):
        head = window.events.head
        for probe, kind in zip(head["probe"].tolist(), head["type"].copy().view("S16").tolist(), strict=True):
            if probe in (INBOUND, OUTBOUND):
                counts[probe == INBOUND, kind.decode()] += 1
    return counts


def counted_rows() -> Counts:
    """Messages in the archive, counted by SQL."""
    rows = Query(folders() / "archive").table("SELECT inbound, type, count(*) AS n FROM message GROUP BY ALL").to_pylist()
    return {(r["inbound"], r["type"]): r["n"] for r in rows}


def counted_files() -> Counts:
    """Messages in the capture, counted record by record."""
    counts: Counter[tuple[bool, str]] = Counter()
    for path in CAPTURE.rglob("*.dat"):
        data, at = path.read_bytes(), 0
        while at < len(data):
            counts[path.name == "msgs_recv.dat", data[at + 8 : at + 20].rstrip(b"\0").decode()] += 1
            at += 24 + int.from_bytes(data[at + 20 : at + 24], "little")
    return counts


@dataclass(frozen=True)
class Case:
    """A way to make a source, and what it must give."""

    make: Callable[[], Source]
    truth: Callable[[], Counts]
    live: bool = False


CASES = {
    "capture": Case(lambda: CaptureSource(CAPTURE, "alice"), counted_files),
    "capture in small chunks": Case(lambda: CaptureSource(CAPTURE, "alice", limits=(7, 5000)), counted_files),
    "simulation": Case(lambda: SimulationSource.simulated(PLAN, "alice"), counted_events),
    "simulation from a folder": Case(lambda: SimulationSource.from_folder(folders() / "simulation"), counted_events),
    "live simulation": Case(
        lambda: SimulationSource.simulated(PLAN, "alice", speed=30.0, clock=Clock()), counted_events, live=True
    ),
    "archive": Case(lambda: ArchiveSource(history()), counted_rows),
    "archive in small chunks": Case(lambda: ArchiveSource(history(), 50, SECOND), counted_rows),
    "paced capture": Case(lambda: Paced(CaptureSource(CAPTURE, "alice"), 60.0, Clock()), counted_files, live=True),
    "paced archive": Case(lambda: Paced(ArchiveSource(history()), 20.0, Clock()), counted_rows, live=True),
}
each = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@each
def test_says_what_it_is(case: Case) -> None:
    """It has a name that can be the source of rows, and says whether it goes on by itself."""
    source = case.make()
    assert source.name.isidentifier()
    assert source.live == case.live
    source.close()


@each
def test_watermarks_never_go_back(case: Case) -> None:
    """Of each identity; the last chunk of an identity says so, and nothing comes after it."""
    marks: dict[Any, int] = {}
    ended = set()
    for chunk in chunks_of(case.make()):
        assert chunk.identity not in ended
        assert chunk.watermark >= marks.get(chunk.identity, 0)
        marks[chunk.identity] = chunk.watermark
        if chunk.ended:
            ended.add(chunk.identity)
    assert ended == marks.keys()


@each
def test_every_event_is_given_once(case: Case) -> None:
    """Chunks and rows fit together; over all tables the numbers of an identity have no gap, and each is of one event."""
    events: dict[tuple[str, int, str], dict[int, int]] = {}
    for chunk in chunks_of(case.make()):
        for table, row in rows_of(chunk):
            own = events.setdefault((row["node"], row["session"], row["source"]), {})
            if table != "rate":  # which carries the number of a message, and the start of its second
                assert own.setdefault(row["seq"], row["ts"]) == row["ts"]
    for own in events.values():
        assert sorted(own) == list(range(len(own)))
    assert len(events) == 1


@each
def test_nothing_is_lost(case: Case) -> None:
    """Every message that went in comes out, by direction and type, and no loss is said."""
    counts: Counter[tuple[bool, str]] = Counter()
    for chunk in chunks_of(case.make()):
        for table, row in rows_of(chunk):
            assert table != "loss"
            if table == "message":
                counts[row["inbound"], row["type"]] += 1
    assert counts == case.truth()
    assert counts.total() > 200


@each
def test_twice_the_same(case: Case) -> None:
    """Reading again gives the same rows in the same order."""

    def rows(chunks: list[Chunk]) -> list[tuple[str, dict[str, Any]]]:
        return sorted((r for c in chunks for r in rows_of(c)), key=lambda r: (r[1]["ts"], r[1]["seq"], r[0], r[1].get("idx", 0)))

    assert rows(chunks_of(case.make())) == rows(chunks_of(case.make()))


@each
@settings(max_examples=8, deadline=None)
@given(calls=st.lists(st.sampled_from(["read", "read", "finish", "commit", "close"]), max_size=10))
def test_calls_come_in_any_order(case: Case, calls: list[str]) -> None:
    """Finishing, committing and closing are allowed at any time and more than once; what is given is well formed, and finishing
    comes to an end.
    """
    source = case.make()
    for call in [*calls, "finish", "close", "close"]:
        for chunk in getattr(source, call)() or ():
            rows_of(chunk)
        if call == "finish":
            assert any(not source.finish() for _ in range(1000))
