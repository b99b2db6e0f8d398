"""Tests of keeping an archive: compaction, retention and deleting, whatever else is going on."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from peerwatch.schema.table import Identity
from peerwatch.store import compaction, upkeep
from peerwatch.store.compaction import MANY
from peerwatch.store.history import History
from peerwatch.store.layout import DAY
from peerwatch.store.query import Query
from peerwatch.store.readers import Hold
from peerwatch.store.retention import Retention
from peerwatch.store.seal import seal
from peerwatch.store.upkeep import Upkeep
from tests.unit.store.conftest import START, WHO, Steps, files, holds, sealed, segment, tables

HERE = Path(__file__).parent
TABLES = ("message", "ping", "rate")


def tidy(root: Path, paths: list[Path], kept: Upkeep | None = None, identity: Identity = WHO) -> Upkeep:
    """One round after files were sealed."""
    kept = kept or Upkeep(root)
    kept.sealed(identity, paths)
    for _ in kept.round():
        pass
    return kept


def spans(root: Path, table: str = "message") -> list[tuple[int, int]]:
    return [(f.first, f.last) for f in files(root, table)]


def test_segments_of_an_hour_become_one_file(root: Path) -> None:
    """As soon as there are enough, in every table, and what they were made of is gone."""
    paths = sealed(root, MANY - 1)
    kept = tidy(root, paths)
    assert len(files(root, "message")) == MANY - 1
    tidy(root, sealed(root, 1, first=MANY - 1), kept)
    assert [spans(root, table) for table in TABLES] == [[(0, MANY - 1)]] * 3
    holds(root, 20 * MANY)
    assert kept.failure is None
    assert not list((root / "wal").iterdir())


def test_a_day_that_is_over_becomes_one_file(root: Path) -> None:
    """When the next one begins; that goes on as before."""
    step = DAY // 60
    paths = sealed(root, 1, step_ns=step)  # from 22:13 on: 20 rows over 8 hours, in two days
    kept = tidy(root, paths)
    assert [(f.date, f.first) for f in files(root, "message")] == [("2023-11-14", 0), ("2023-11-15", 0)]
    for n in (1, 2, 3):
        tidy(root, sealed(root, 1, first=n, step_ns=step), kept)
    assert [(f.date, f.first, f.last) for f in files(root, "message")] == [
        ("2023-11-14", 0, 0),
        ("2023-11-15", 0, 3),
        ("2023-11-16", 3, 3),
    ]
    holds_rows(root, 80)


def holds_rows(root: Path, messages: int) -> None:
    found = Query(root).table("SELECT seq FROM message ORDER BY seq")["seq"].to_pylist()
    assert found == list(range(messages))


def test_an_old_archive_is_put_together_at_once(root: Path) -> None:
    """All days, when the first segment is sealed, from whatever session; other nodes and sources are left alone."""
    later = Identity(WHO.node, WHO.session + 1, WHO.source)
    others = [Identity("node-b", 1, "usdt"), Identity(WHO.node, WHO.session, "capture")]
    sealed(root, 30)
    for identity in others:
        sealed(root, 30, identity=identity)
    tidy(root, sealed(root, 2, identity=later), identity=later)
    found = {i: [(f.first, f.last) for f in files(root, "message") if f.identity == i] for i in (WHO, later, *others)}
    assert found[WHO] == [(0, 29)]
    assert found[later] == [(0, 0), (1, 1)]
    assert len(found[others[0]]) == len(found[others[1]]) == 30


def test_nothing_is_put_together_across_what_is_not_sealed(root: Path) -> None:
    """A segment that could not be sealed keeps its commits free; afterwards its rows are there, once."""
    paths = sealed(root, 3)
    waiting = segment(root, 3, tables(60, 20))
    kept = tidy(root, paths + sealed(root, MANY, first=4))
    assert len(files(root, "message")) == MANY + 3
    holds_messages = Query(root).table("SELECT count(*)::INT AS n, count(DISTINCT seq)::INT AS d FROM message").to_pylist()
    assert holds_messages == [{"n": 20 * (MANY + 4), "d": 20 * (MANY + 4)}]
    tidy(root, seal(root, waiting), kept)
    assert spans(root) == [(0, MANY + 3)]
    holds(root, 20 * (MANY + 4))


def test_readers_end_in_peace(root: Path) -> None:
    """A query under way and a replay find all files that they began with; once they are gone, the files are."""
    paths = sealed(root, MANY)
    history = History(root, ["message"])
    with Query(root).reader("SELECT seq, pg_seq FROM message, range(2000) AS r(pg_seq)") as reader:
        first = reader.read_next_batch()
        kept = tidy(root, paths)
        assert len(files(root, "message")) == MANY + 1
        holds(root, 20 * MANY)
        assert first.num_rows + sum(batch.num_rows for batch in reader) == 20 * MANY * 2000
    tapes = history.tapes(WHO)
    del history
    for _ in kept.round():
        pass
    assert len(files(root, "message")) == MANY + 1
    assert sum(piece.load().num_rows for _, tape in tapes for piece in tape) == 20 * MANY
    del tapes
    later = Hold(root)
    for _ in kept.round():
        pass
    assert spans(root) == [(0, MANY - 1)]
    later.release()


def test_killed_anywhere_each_row_counts_once(root: Path, steps: Steps) -> None:
    """Before every step that changes the archive: readers see every row once, and the next process ends the work."""
    paths = sealed(root, MANY)
    steps.states.clear()
    shutil.rmtree(steps.folder)
    tidy(root, paths)
    assert len(steps.states) > 3 * MANY
    for state in [*steps.states, root]:
        holds(state, 20 * MANY)
    for state in random.Random(1).sample(steps.states, 12):  # noqa: S311 - which ones
        tidy(state, [f.path.relative_to(state) for f in files(state, "message")])
        assert [spans(state, table) for table in TABLES] == [[(0, MANY - 1)]] * 3
        holds(state, 20 * MANY)
        assert not list((state / "wal").iterdir())


@pytest.mark.parametrize("step", ["rename", "unlink", "sync", "write"])
def test_what_fails_is_said_and_done_later(root: Path, monkeypatch, step: str) -> None:
    """An error of the system at any step changes nothing for readers; the next round tries again."""
    owner = {"sync": upkeep.layout, "write": compaction.ParquetFile}.get(step, Path)
    paths = sealed(root, MANY)
    kept = Upkeep(root)
    real = getattr(owner, step)
    for nth in range(1, 4):
        calls = []

        def failing(*arguments: object, nth: int = nth, calls: list[int] = calls, **options: object) -> object:
            calls.append(1)
            if len(calls) == nth:
                raise OSError(5, "Input/output error")
            return real(*arguments, **options)

        with monkeypatch.context() as patched:
            patched.setattr(owner, step, failing)
            try:
                tidy(root, paths, kept)
            except OSError as error:
                raise AssertionError("a round must not fail") from error
        holds(root, 20 * MANY)
        if len(calls) >= nth:
            assert "Input/output error" in (kept.failure or "")
            assert "\n" not in (kept.failure or "")
    tidy(root, paths, kept)
    assert kept.failure is None
    assert [spans(root, table) for table in TABLES] == [[(0, MANY - 1)]] * 3
    holds(root, 20 * MANY)


def test_a_damaged_file_is_named_and_left_alone(root: Path) -> None:
    """The others go on; nothing is put together across it."""
    paths = sealed(root, 2 * MANY + 1)
    damaged = files(root, "ping")[MANY].path
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-100])
    kept = tidy(root, paths)
    assert damaged.name in (kept.failure or "")
    tidy(root, paths, kept)
    assert damaged.name in (kept.failure or "")
    assert spans(root) == [(0, 2 * MANY)]
    assert spans(root, "ping") == [(0, MANY - 1), (MANY, MANY), (MANY + 1, 2 * MANY)]
    damaged.write_bytes(content)
    holds(root, 20 * (2 * MANY + 1))


def test_without_room_nothing_is_put_together(root: Path, monkeypatch) -> None:
    """Recording has the last bytes of the disk; nothing is wrong with that."""
    paths = sealed(root, MANY)
    usage = shutil.disk_usage(root)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=upkeep.RESERVE))
    kept = tidy(root, paths)
    assert kept.failure is None
    assert len(files(root, "message")) == MANY
    monkeypatch.undo()
    tidy(root, paths, kept)
    assert spans(root) == [(0, MANY - 1)]


def test_work_that_is_given_up_is_done_later(root: Path) -> None:
    """At any pause, and without another segment."""
    kept = Upkeep(root)
    kept.sealed(WHO, sealed(root, MANY))
    for pauses in range(1, 60, 7):
        work = kept.round()
        for _ in range(pauses):
            next(work, None)
        work.close()
        holds(root, 20 * MANY)
    for _ in kept.round():
        pass
    assert [spans(root, table) for table in TABLES] == [[(0, MANY - 1)]] * 3


def test_what_was_given_back_is_left_alone(root: Path) -> None:
    """Another process may record it now."""
    kept = Upkeep(root)
    kept.sealed(WHO, sealed(root, MANY))
    kept.release(WHO)
    for _ in kept.round():
        pass
    assert len(files(root, "message")) == MANY


def test_retention_is_applied_with_every_round(root: Path) -> None:
    """By the clock of the machine; what it removes is not put together first."""
    ages = (datetime.now(UTC).date() - datetime.fromtimestamp(START / 1e9, UTC).date()).days
    step = DAY // 5
    paths = sealed(root, MANY, step_ns=step)
    kept = Upkeep(root, Retention(rows_days=ages - 40))
    tidy(root, paths, kept)
    assert kept.failure is None
    dates = [f.date for f in files(root, "message")]
    assert min(dates) == "2023-12-24"
    assert min(f.date for f in files(root, "rate")) == "2023-11-14"


def test_a_history_of_killed_and_compacted_segments_has_every_row_once(tmp_path: Path) -> None:
    """A program that records, seals and puts together all the time is killed (-9) at random moments, and goes on each time."""
    chance = random.Random(os.environ.get("PYTEST_XDIST_TESTRUNUID"))  # noqa: S311 - moments, not secrets
    root = tmp_path / "archive"
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    together = -1
    for _ in range(5):
        command = [sys.executable, HERE / "record.py", root, "0.05", "3000"]
        program = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert program.stdout is not None
        program.stdout.readline()
        deadline = time.monotonic() + 60
        while max((f.last for f in files(root, "message") if f.last >= f.first + MANY - 1), default=-1) <= together:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.2))
        program.kill()
        said = int(program.stdout.read().splitlines()[-1])
        program.stdout.close()
        program.wait()
        counts = "SELECT count(*) AS n, count(DISTINCT seq) AS d, min(seq) AS low, max(seq) + 1 AS top FROM message"
        found = Query(root).table(counts).to_pylist()[0]
        assert (found["n"], found["d"], found["low"]) == (found["top"], found["top"], 0)
        assert said <= found["n"] <= said + 300
        together = max(f.last for f in files(root, "message"))


def test_a_full_disk_is_not_made_worse(tmp_path: Path) -> None:
    """On a real file system of 90 MB: nothing is put together when there is no room, and retention makes some."""
    if os.geteuid() != 0 and subprocess.run(["unshare", "-Urm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("needs root or user namespaces, to mount a small file system")
    unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    program = [*unshare, sys.executable, HERE / "fill_upkeep.py", tmp_path]
    done = subprocess.run(program, env={**os.environ, "PYTHONPATH": str(HERE)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["full", "removed", "together"]
