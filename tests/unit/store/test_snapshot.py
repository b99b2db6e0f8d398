"""Tests of what readers see."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from peerwatch.store import layout, snapshot
from peerwatch.store.archive import Archive
from peerwatch.store.errors import ArchiveError
from peerwatch.store.query import Query
from peerwatch.store.snapshot import Snapshot
from peerwatch.store.wal import read_stream

HERE = Path(__file__).parent


def seen(taken: Snapshot, table: str = "message") -> list[int]:
    """Numbers of all rows of a table."""
    sealed = [s for f in taken.sealed if f.table == table for s in pq.read_table(f.path, partitioning=None)["seq"].to_pylist()]
    streams = [live.streams[table] for live in taken.live if table in live.streams]
    return sorted(sealed + [s for data in streams for batch in read_stream(data) for s in batch.column("seq").to_pylist()])


def test_an_empty_archive_has_nothing(root: Path) -> None:
    """No rows, no error."""
    taken = snapshot.take(root, ["message"])
    assert (taken.sealed, taken.live) == ([], [])


def test_sealed_and_live_rows_are_seen_together(root: Path, who, rows) -> None:
    """Only of the tables asked for."""
    archive = Archive.create_or_open(root)
    writer = archive.writer(who)
    writer.append(rows(0, 20), {})
    writer.close()
    writer = archive.writer(who)
    writer.append(rows(20, 15), {})
    taken = snapshot.take(root, ["message"])
    assert seen(taken) == list(range(35))
    assert {f.table for f in taken.sealed} == {"message"}
    assert [set(live.streams) for live in taken.live] == [{"message"}]
    assert (taken.sealed[0].identity, taken.sealed[0].date) == (who, "2023-11-14")
    archive.close()


def test_rows_that_are_not_committed_are_not_seen(root: Path, who, rows) -> None:
    """Bytes behind the committed length are another program's business."""
    archive = Archive.create_or_open(root)
    archive.writer(who).append(rows(0, 20), {})
    ((_, segment),) = layout.segments(root)
    with (segment / "message.arrows").open("ab") as file:
        file.write(b"half a batch")
    assert seen(snapshot.take(root, ["message"])) == list(range(20))
    archive.close()


@pytest.mark.parametrize("moved", [0, 1, 2, 3, "and the segment renamed"])
def test_rows_are_seen_once_wherever_sealing_stopped(root: Path, who, rows, tmp_path: Path, moved: int | str) -> None:
    """After none, some or all files were moved, and before and after the segment was renamed (once all are)."""
    archive = Archive.create_or_open(root)
    archive.writer(who).append(rows(0, 30), {})
    ((name, segment),) = layout.segments(root)
    shutil.copytree(segment, tmp_path / "segment")
    archive.close()
    files = sorted(root.rglob("*.parquet"))
    assert len(files) == 3
    if isinstance(moved, str):
        shutil.copytree(tmp_path / "segment", root / "wal" / f"{name}.gone")
        moved = 3
    else:
        shutil.copytree(tmp_path / "segment", segment)
    for file in files[moved:]:
        file.unlink()
    taken = snapshot.take(root, ["message", "ping", "rate"])
    assert seen(taken) == list(range(30))
    assert seen(taken, "ping") == [0, 10, 20]
    Archive.create_or_open(root).writer(who).close()
    recovered = snapshot.take(root, ["message", "ping", "rate"])
    assert seen(recovered) == list(range(30))
    assert sorted(root.rglob("*.parquet")) == files
    assert not list((root / "wal").glob("*.gone"))


def test_a_segment_shorter_than_its_commits_says_what_to_do(root: Path, who, rows) -> None:
    """As after a loss of power, before the next run has cut it back."""
    archive = Archive.create_or_open(root)
    archive.writer(who).append(rows(0, 20), {})
    ((_, segment),) = layout.segments(root)
    os.truncate(segment / "message.arrows", 500)
    with pytest.raises(ArchiveError, match="shorter than what was committed"):
        snapshot.take(root, ["message"])


def test_files_of_others_are_passed_over(root: Path) -> None:
    """A note in a folder is not taken for rows."""
    folder = root / "message" / "date=2024-01-01" / "node=n"
    folder.mkdir(parents=True)
    (folder / "notes-1-2.parquet").write_text("no parquet")
    (root / "message" / "readme").write_text("x")
    assert snapshot.take(root, ["message"]).sealed == []


def test_a_reader_waits_for_the_moment_of_renaming_and_sealing_for_readers(root: Path, who, rows) -> None:
    """Neither looks or renames while the other holds the lock; both go on when it is let go."""
    archive = Archive.create_or_open(root)
    archive.writer(who).append(rows(0, 20), {})
    looked, closed = threading.Event(), threading.Event()
    reader = threading.Thread(target=lambda: (snapshot.take(root, ["message"]), looked.set()))
    with layout.locked(root, exclusive=True):
        reader.start()
        assert not looked.wait(0.2)
    assert looked.wait(20)
    sealing = threading.Thread(target=lambda: (archive.close(), closed.set()))
    with layout.locked(root, exclusive=False):
        sealing.start()
        assert not closed.wait(0.3)
        assert seen(snapshot.take(root, ["message"])) == list(range(20))
    assert closed.wait(20)
    reader.join()
    sealing.join()
    assert seen(snapshot.take(root, ["message"])) == list(range(20))


def test_readers_see_every_row_once_while_it_is_recorded_and_sealed(tmp_path: Path) -> None:
    """Another process appends and seals all the time: each look finds the rows from 0 to some number, each once, never fewer."""
    root = tmp_path / "archive"
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    program = subprocess.Popen(
        [sys.executable, HERE / "record.py", root, "0.01"], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    said = int(program.stdout.readline())
    told = [said]
    listener = threading.Thread(target=lambda: told.extend(int(line) for line in program.stdout or []), daemon=True)
    listener.start()
    query = Query(root)
    looks = 0
    files: set[int] = set()
    try:
        while looks < 40 or len(files) < 5:
            least = told[-1]
            row = query.table("SELECT count(*) AS n, count(DISTINCT seq) AS d, min(seq) AS low, max(seq) + 1 AS top FROM message")
            found = row.to_pylist()[0]
            assert (found["n"], found["d"], found["low"]) == (found["top"], found["top"], 0)
            assert found["n"] >= least
            files.add(len(snapshot.take(root, ["message"]).sealed))
            looks += 1
    finally:
        program.kill()
        program.wait()
        listener.join()
        program.stdout.close()
