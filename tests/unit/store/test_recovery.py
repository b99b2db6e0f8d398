"""Tests of recovery: what a writer that ended in whatever way left is cut back to its last commit."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwatch.schema.table import Identity
from peerwatch.store import layout
from peerwatch.store.archive import Archive
from peerwatch.store.errors import ArchiveError
from peerwatch.store.journal import Header, Journal
from peerwatch.store.layout import SegmentName
from peerwatch.store.recovery import Closed, recover
from peerwatch.store.wal import Segment, boot

NAME = SegmentName(Identity("n", 1, "usdt"), 0)


def left_behind(root: Path, rows, booted: str, commits: int = 4) -> Path:
    """A segment of `commits` commits of 30 messages, never closed properly."""
    segment = Segment.create(root, Header("n", 1, "usdt", 0, booted, {}, {}))
    for i in range(commits):
        segment.append(rows(i * 30, 30), {"next": i * 30 + 30}, {})
    segment.close()
    return segment.path


def check(closed: Closed, commits: int) -> None:
    """Files and position agree, and are those of exactly so many commits."""
    count = 30 * commits
    assert (closed.last.position if closed.last else {}) == ({"next": count} if commits else {})
    assert (closed.path / "journal.jsonl").read_bytes().count(b"\n") == commits + 1
    stream = (closed.path / "message.arrows").read_bytes()
    assert (pa.ipc.open_stream(stream).read_all()["seq"].to_pylist() if stream else []) == list(range(count))


def test_a_whole_segment_stays_as_it_is(root: Path, rows) -> None:
    """Recovery of what needs none changes nothing, and can be done any number of times."""
    path = left_behind(root, rows, boot())
    before = {f.name: f.read_bytes() for f in path.iterdir()}
    for _ in range(2):
        check(recover(root, NAME, path), 4)
    assert {f.name: f.read_bytes() for f in path.iterdir()} == before


def test_rows_without_a_commit_go(root: Path, rows) -> None:
    """Killed between the rows and the line of the journal: the rows were not committed."""
    path = left_behind(root, rows, boot())
    journal = path / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]) + lines[-1][:40])
    check(recover(root, NAME, path), 3)


def test_a_table_that_only_has_rows_without_a_commit_is_emptied(root: Path, rows) -> None:
    """Killed in the very first append."""
    path = left_behind(root, rows, boot(), commits=1)
    journal = path / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().splitlines(keepends=True)[0])
    check(recover(root, NAME, path), 0)


@given(table=st.sampled_from(["message", "ping"]), cut=st.floats(0, 1), garbage=st.sampled_from([b"", b"\0", b"\xff"]))
def test_after_a_loss_of_power_rows_and_position_agree(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest, table: str, cut: float, garbage: bytes
) -> None:
    """Any end of any stream is missing or garbage: what stays are whole commits, and the position after the last of them."""
    rows = request.getfixturevalue("rows")
    root = tmp_path_factory.mktemp("power") / "archive"
    Archive.create_or_open(root).close()
    path = left_behind(root, rows, booted="an earlier one")
    stream = path / f"{table}.arrows"
    whole = stream.read_bytes()
    kept = int(cut * len(whole))
    stream.write_bytes(whole[:kept] + garbage * (len(whole) - kept))
    closed = recover(root, NAME, path)
    commits = closed.last.n + 1 if closed.last else 0
    check(closed, commits)
    # A message's metadata is more than 200 bytes: this much must be noticed.
    assert commits < 4 or kept > len(whole) - 200


@given(table=st.sampled_from(["message", "ping"]), at=st.floats(0, 1), length=st.integers(1, 600))
def test_what_never_reached_the_disk_is_noticed_anywhere(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest, table: str, at: float, length: int
) -> None:
    """A hole of zeros in the middle of any stream: what stays are the commits before it, even where every row could be read."""
    rows = request.getfixturevalue("rows")
    root = tmp_path_factory.mktemp("power") / "archive"
    Archive.create_or_open(root).close()
    path = left_behind(root, rows, booted="an earlier one")
    ends = [commit.lengths[table] for commit, _ in Journal(path).commits()][::-1]
    stream = path / f"{table}.arrows"
    whole = stream.read_bytes()
    first = int(at * (len(whole) - 1))
    hole = whole[:first] + bytes(min(length, len(whole) - first)) + whole[first + length :]
    stream.write_bytes(hole)
    damaged = next((i for i, (a, b) in enumerate(zip(whole, hole, strict=True)) if a != b), len(whole))
    check(recover(root, NAME, path), sum(end <= damaged for end in ends))


def test_a_segment_without_a_header_says_what_to_do(root: Path) -> None:
    """It names the directory that has to be moved away."""
    path = root / layout.WAL / str(NAME)
    path.mkdir()
    (path / layout.JOURNAL).write_bytes(b"\0\0\0\n")
    with pytest.raises(ArchiveError, match="move usdt-1-n-0 out of the archive"):
        recover(root, NAME, path)
