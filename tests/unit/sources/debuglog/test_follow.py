"""Following a file that is written, rotated, truncated and replaced."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerwatch.sources.debuglog.follow import LONGEST_LINE, Follower


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log with history."""
    path = tmp_path / "debug.log"
    path.write_bytes(b"history\n")
    return path


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_it_begins_at_the_end(log: Path) -> None:
    """What was there is history; what comes is given in whole lines."""
    follower = Follower(log)
    assert follower.read(100).lines == []
    append(log, b"one\ntw")
    assert follower.read(100).lines == [b"one"]
    append(log, b"o\n")
    assert follower.read(100).lines == [b"two"]
    follower.close()


def test_half_a_line_of_history_is_passed_over(log: Path) -> None:
    """A line that was being written when it began is not given without its beginning."""
    append(log, b"half")
    follower = Follower(log)
    assert follower.read(100).lines == []
    append(log, b" a line\nwhole\n")
    assert follower.read(100).lines == [b"whole"]
    follower.close()


def test_rotation(log: Path) -> None:
    """A renamed file is read to its end, and then the one that has its name from its beginning."""
    follower = Follower(log)
    follower.read(100)
    append(log, b"one\n")
    log.rename(log.with_suffix(".1"))
    append(log.with_suffix(".1"), b"two\n")
    assert follower.read(100).lines == [b"one", b"two"]
    assert follower.read(100).lines == []
    append(log, b"three\n")
    follower.read(100)
    assert follower.read(100).lines == [b"three"]
    follower.close()


def test_truncation_is_noticed(log: Path) -> None:
    """It is said, and reading goes on at the new beginning."""
    follower = Follower(log)
    follower.read(100)
    append(log, b"one\n")
    follower.read(100)
    log.write_bytes(b"")
    assert "truncated" in (follower.read(100).notice or "")
    append(log, b"two\n")
    assert follower.read(100).lines == [b"two"]
    follower.close()


def test_a_position_is_only_for_the_very_file(log: Path) -> None:
    """It goes on there; another file of that name is read from its beginning, and that is said."""
    follower = Follower(log)
    follower.read(100)
    append(log, b"one\ntwo")
    follower.read(100)
    position = follower.position
    follower.close()
    append(log, b" more\n")
    again = Follower(log, position)
    piece = again.read(100)
    assert (piece.lines, piece.notice) == ([b"two more"], None)
    again.close()
    log.write_bytes(b"another beginning\n")
    other = Follower(log, position)
    piece = other.read(100)
    assert piece.lines == [b"another beginning"]
    assert "replaced" in (piece.notice or "")
    other.close()


def test_a_line_without_end_is_cut(log: Path) -> None:
    """Its beginning is given once, its rest is passed over, and the next line is whole."""
    follower = Follower(log)
    follower.read(100)
    append(log, b"x" * (3 * LONGEST_LINE))
    lines, overlong = [], 0
    for _ in range(10):
        piece = follower.read(LONGEST_LINE)
        lines += piece.lines
        overlong += piece.overlong
    append(log, b"end\nnext\n")
    lines += follower.read(LONGEST_LINE).lines
    assert (lines, overlong) == ([b"x" * LONGEST_LINE, b"next"], 1)
    follower.close()


def test_a_file_that_is_not_there(log: Path) -> None:
    """The error is the caller's; when the file comes, all that is in it is new."""
    path = log.with_suffix(".none")
    follower = Follower(path)
    with pytest.raises(FileNotFoundError):
        follower.read(100)
    append(path, b"one\n")
    assert follower.read(100).lines == [b"one"]
    follower.close()


def test_an_empty_file_is_no_other_one(log: Path) -> None:
    """Nothing is noticed at a log that is empty, however often it is read, and then nothing of it is passed over."""
    log.write_bytes(b"")
    follower = Follower(log)
    assert [follower.read(100).notice for _ in range(3)] == [None] * 3
    append(log, b"one\n")
    assert follower.read(100).lines == [b"one"]
    follower.close()


def test_rotation_that_makes_the_new_file_first(log: Path) -> None:
    """Until the node writes into the new file it writes into the renamed one, and that is read until then (logrotate: create)."""
    follower = Follower(log)
    follower.read(100)
    renamed = log.rename(log.with_suffix(".log.1"))
    log.touch()
    assert follower.read(100).lines == []
    append(renamed, b"one\n")
    assert follower.read(100).lines == [b"one"]
    append(renamed, b"two\nthr")
    append(log, b"four\n")
    pieces = [follower.read(100) for _ in range(3)]
    assert [line for piece in pieces for line in piece.lines] == [b"two", b"four"]
    assert any("no end" in (piece.notice or "") for piece in pieces)
    follower.close()


@pytest.mark.parametrize("copied", [False, True])
def test_rotation_while_nobody_reads(log: Path, *, copied: bool) -> None:
    """The rest of the former file is found under its new name, whether it was renamed or copied and emptied."""
    follower = Follower(log)
    follower.read(100)
    append(log, b"one\n")
    follower.read(100)
    position = follower.position
    follower.close()
    append(log, b"two\n")
    if copied:
        log.with_suffix(".log.1").write_bytes(log.read_bytes())
        log.write_bytes(b"")
    else:
        log.rename(log.with_suffix(".log.1"))
    append(log, b"three\n")
    again = Follower(log, position)
    pieces = [again.read(100) for _ in range(3)]
    assert [line for piece in pieces for line in piece.lines] == [b"two", b"three"]
    assert not any(piece.notice or piece.lost_track for piece in pieces)
    again.close()


@pytest.mark.parametrize("restart", [False, True])
def test_a_log_that_lost_its_beginning(log: Path, *, restart: bool) -> None:
    """A node that starts keeps only the end of a long log (-shrinkdebugfile): what was read of it is not given again."""
    follower = Follower(log)
    follower.read(100)
    append(log, b"".join(b"line %d\n" % number for number in range(1000)))
    assert len(follower.read(1 << 20).lines) == 1000
    append(log, b"last\n")
    log.write_bytes(log.read_bytes()[-5000:])
    append(log, b"first of the next run\n")
    if restart:
        position = follower.position
        follower.close()
        follower = Follower(log, position)
    piece = follower.read(1 << 20)
    assert (piece.lines, piece.notice, piece.lost_track) == ([b"last", b"first of the next run"], None, False)
    follower.close()


def test_a_truncated_file_that_has_grown_again(log: Path) -> None:
    """That it is another content is noticed although it is longer than what was read."""
    follower = Follower(log)
    follower.read(100)
    append(log, b"one\n")
    follower.read(100)
    log.write_bytes(b"another line that is longer than all before\n")
    piece = follower.read(100)
    assert piece.lines == [b"another line that is longer than all before"]
    assert "truncated" in (piece.notice or "")
    follower.close()


def test_an_overlong_line_is_cut_however_it_is_read(log: Path) -> None:
    """Whole, in parts, or with a restart in the middle: its beginning is given once, and it is counted once."""
    line = b"x" * (3 * LONGEST_LINE) + b"\nnext\n"
    for restart in (False, True):
        for size in (1, 100_000, 1 << 20):
            log.write_bytes(b"history\n")
            follower = Follower(log)
            follower.read(100)
            append(log, line)
            pieces = []
            for _ in range(10):
                pieces.append(follower.read(size))
                if restart:
                    position = follower.position
                    follower.close()
                    follower = Follower(log, position)
            assert [each for piece in pieces for each in piece.lines] == [b"x" * LONGEST_LINE, b"next"]
            assert sum(piece.overlong for piece in pieces) == 1
            follower.close()


def test_zeros_of_a_crash(log: Path) -> None:
    """Zeros before a line, as a file system leaves them when the machine stops, are no part of it, and are told."""
    follower = Follower(log)
    follower.read(100)
    append(log, b"\0" * 5000 + b"one\n")
    piece = follower.read(1 << 20)
    assert piece.lines == [b"one"]
    assert "zeros" in (piece.notice or "")
    follower.close()


@settings(max_examples=50, deadline=None)
@given(
    lines=st.lists(st.binary(max_size=20).map(lambda b: b.replace(b"\n", b"").lstrip(b"\0")), min_size=1, max_size=12),
    cuts=st.lists(
        st.tuples(st.integers(1, 30), st.integers(1, 40), st.sampled_from(["", "", "restart", "rotate", "rotate, restart"])),
        min_size=1,
        max_size=30,
    ),
)
def test_every_line_once_however_it_is_written_and_read(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], cuts: list[tuple[int, int, str]]
) -> None:
    """Any cutting into writes and reads, with restarts from the last position and rotations in between, gives the same lines."""
    log = tmp_path_factory.mktemp("log") / "debug.log"
    log.write_bytes(b"begin of a log that is known again by this\n")
    data, given_lines = b"".join(line + b"\n" for line in lines), list[bytes]()
    follower = Follower(log)
    follower.read(100)
    for number, (written, read, then) in enumerate(cuts):
        append(log, data[:written])
        data = data[written:]
        given_lines += follower.read(read).lines
        if "rotate" in then and log.stat().st_size and follower.position["inode"] == log.stat().st_ino:
            end = data.find(b"\n") + 1  # a node ends its line before it turns to another file
            append(log, data[:end])
            data = data[end:]
            log.rename(log.with_name(f"debug.log.{number}"))
            log.touch()
        if "restart" in then:
            position = follower.position
            follower.close()
            follower = Follower(log, position)
    append(log, data + b"end\n")
    for _ in range(4 * len(cuts) + 4):
        given_lines += follower.read(1000).lines
    assert given_lines == [*lines, b"end"]
    follower.close()
