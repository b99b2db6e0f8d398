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
    """The error is the caller's; when the file comes, it is read from its beginning only if another was read before."""
    follower = Follower(log.with_suffix(".none"))
    with pytest.raises(FileNotFoundError):
        follower.read(100)


@settings(max_examples=50, deadline=None)
@given(
    lines=st.lists(st.binary(max_size=20).map(lambda b: b.replace(b"\n", b"")), min_size=1, max_size=12),
    cuts=st.lists(st.tuples(st.integers(1, 30), st.integers(1, 40), st.booleans()), min_size=1, max_size=30),
)
def test_every_line_once_however_it_is_written_and_read(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], cuts: list[tuple[int, int, bool]]
) -> None:
    """Any cutting into writes and reads, with restarts from the last position in between, gives the same lines."""
    log = tmp_path_factory.mktemp("log") / "debug.log"
    log.write_bytes(b"begin of a log that is known again by this\n")
    data, given_lines = b"".join(line + b"\n" for line in lines), list[bytes]()
    follower = Follower(log)
    follower.read(100)
    for written, read, restart in cuts:
        append(log, data[:written])
        data = data[written:]
        given_lines += follower.read(read).lines
        if restart:
            position = follower.position
            follower.close()
            follower = Follower(log, position)
    append(log, data)
    while piece := follower.read(1000).lines:
        given_lines += piece
    assert given_lines == lines
    follower.close()
