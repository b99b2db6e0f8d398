"""A capture folder over time."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path

import pytest

from peerwatch.sources.capture_files import RECEIVED, SENT, Progress
from peerwatch.sources.capture_folder import BUSY_NS, CALM_NS, FORGET_NS, GIVEN_UP, SWEEP_NS, CaptureFolder


def append(root: Path, folder: str, name: str = RECEIVED, *, at: int = 1, age_ns: int | None = None) -> None:
    """Append one record; with `age_ns`, file and folder look as if they were last written so long ago."""
    directory = root / folder
    directory.mkdir(exist_ok=True)
    with (directory / name).open("ab") as file:
        file.write(struct.pack("<Q12sI", at, b"ping", 0))
    if age_ns is not None:
        then = time.time_ns() - age_ns
        for path in (directory / name, directory):
            os.utime(path, ns=(then, then))


def names(files: list) -> set[tuple[str, bool]]:
    return {(f.folder, f.sent) for f in files}


def finish(files: list) -> None:
    """Deliver all that the files have."""
    for file in files:
        file.find()
        file.deliver(len(file.pending))


def test_finds_new_files_and_growth(tmp_path: Path) -> None:
    """Each scan gives what is new or has grown: a folder, a folder's second file, more records; and nothing twice."""
    folder = CaptureFolder(tmp_path)
    assert folder.scan(0) == []
    append(tmp_path, "a")
    assert names(folder.scan(1)) == {("a", False)}
    assert folder.scan(2) == []
    append(tmp_path, "a", SENT)
    append(tmp_path, "b")
    assert names(folder.scan(3)) == {("a", True), ("b", False)}
    append(tmp_path, "b")
    assert names(folder.scan(4)) == {("b", False)}
    assert len({f.number for f in folder.files.values()}) == 3


def test_calm_files_are_looked_at_less_often(tmp_path: Path) -> None:
    """What grew lately, and what is new, is seen at once, and what was calm within a second."""
    append(tmp_path, "calm", age_ns=2 * BUSY_NS)
    append(tmp_path, "busy")
    folder = CaptureFolder(tmp_path)
    folder.scan(0)
    append(tmp_path, "calm")
    append(tmp_path, "busy")
    append(tmp_path, "new")
    assert names(folder.scan(CALM_NS // 2)) == {("busy", False), ("new", False)}
    assert names(folder.scan(CALM_NS)) == {("calm", False)}


def test_other_things_are_left_alone(tmp_path: Path) -> None:
    """Files beside the folders, empty folders and folders of other content are no peers."""
    (tmp_path / "note").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other/else.dat").write_text("x")
    folder = CaptureFolder(tmp_path)
    assert folder.scan(0) == []
    assert folder.peers == {}


def test_a_removed_folder_is_forgotten_and_may_come_again(tmp_path: Path) -> None:
    """When all of a file was delivered and it is removed, its state goes; a new one of that name is read from its start."""
    folder = CaptureFolder(tmp_path)
    append(tmp_path, "a")
    append(tmp_path, "a")
    finish(folder.scan(0))
    (tmp_path / "a" / RECEIVED).unlink()
    assert folder.scan(1) == []
    assert (folder.peers, folder.files) == ({}, {})
    append(tmp_path, "a")
    again = folder.scan(SWEEP_NS + 2)
    assert [(f.size, f.delivered) for f in again] == [(24, 0)]


def test_a_file_that_began_anew_is_read_from_its_start(tmp_path: Path) -> None:
    """A file shorter than what was delivered of it is another one."""
    folder = CaptureFolder(tmp_path)
    append(tmp_path, "a")
    append(tmp_path, "a")
    finish(folder.scan(0))
    (tmp_path / "a" / RECEIVED).unlink()
    append(tmp_path, "a")
    assert [(f.size, f.delivered) for f in folder.scan(1)] == [(24, 0)]


def test_resume(tmp_path: Path) -> None:
    """An earlier run's offsets are gone on from; a file that was given up is left alone."""
    for _ in range(3):
        append(tmp_path, "a")
        append(tmp_path, "a", SENT)
    folder = CaptureFolder(tmp_path)
    folder.resume("a", sent=False, progress=Progress(48, 7000, 7000))
    folder.resume("a", sent=True, progress=Progress(GIVEN_UP, 0))
    received = folder.scan(0)
    assert names(received) == {("a", False)}
    received[0].find()
    assert received[0].pending["at"].tolist() == [48]
    assert received[0].pending["key"].tolist() == [7000]
    assert all(f.done and f.told for f in folder.files.values() if f.sent)


def test_connections_long_over_are_forgotten(tmp_path: Path) -> None:
    """After an hour without growth a delivered connection is forgotten, and is not taken up again, in this run or the next."""
    append(tmp_path, "old", age_ns=2 * FORGET_NS)
    append(tmp_path, "new")
    folder = CaptureFolder(tmp_path)
    finish(folder.scan(0))
    folder.scan(SWEEP_NS)
    assert set(folder.peers) == {"new"}
    assert len(folder.files) == 1
    append(tmp_path, "newer")
    assert names(folder.scan(SWEEP_NS + 1)) == {("newer", False)}
    following = CaptureFolder(tmp_path, cold=folder.cold)
    assert names(following.scan(0)) == {("new", False), ("newer", False)}


def test_what_is_not_delivered_is_not_forgotten(tmp_path: Path) -> None:
    """However old, a file with records to deliver stays."""
    append(tmp_path, "old", age_ns=2 * FORGET_NS)
    folder = CaptureFolder(tmp_path)
    folder.scan(0)
    folder.scan(SWEEP_NS)
    assert set(folder.peers) == {"old"}


def test_what_was_known_and_not_delivered_is_delivered_after_a_restart(tmp_path: Path) -> None:
    """A file of which nothing was delivered begins at its start, however long ago its folder was made."""
    append(tmp_path, "old", age_ns=2 * FORGET_NS)
    folder = CaptureFolder(tmp_path, cold=time.time_ns() - FORGET_NS)
    folder.resume("old", sent=False, progress=Progress(0, 0))
    found = folder.scan(0)
    found[0].find()
    assert found[0].pending["at"].tolist() == [0]


@pytest.mark.parametrize("restarted", [False, True])
def test_a_forgotten_connection_that_comes_again(tmp_path: Path, restarted: bool) -> None:  # noqa: FBT001 - a case
    """Its new records are found at the next sweep, in this run or a following one, and its old ones are not delivered twice."""
    now = time.time_ns() // 1000
    append(tmp_path, "a", at=now - 3 * FORGET_NS // 1000, age_ns=2 * FORGET_NS)
    folder = CaptureFolder(tmp_path)
    finish(folder.scan(0))
    folder.scan(SWEEP_NS)
    assert folder.peers == {}
    directory = (tmp_path / "a").stat().st_mtime_ns
    append(tmp_path, "a", at=now)
    os.utime(tmp_path / "a", ns=(directory, directory))
    folder = CaptureFolder(tmp_path, cold=folder.cold) if restarted else folder
    found = folder.scan(2 * SWEEP_NS)
    assert names(found) == {("a", False)}
    found[0].find()
    assert found[0].pending["at"].tolist() == [24]
