"""Tests of the journal."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwatch.store.errors import ArchiveError
from peerwatch.store.journal import Commit, Header, Journal, line, resume
from peerwatch.store.layout import JOURNAL

HEADER = Header("n", 1, "usdt", 5, "boot", {"at": 7}, {"rows": 1})
COMMITS = [Commit(5 + i, {"at": 10 * i}, {}, {"ping": 100 * i}, {"ping": i}) for i in range(4)]
WHOLE = line(HEADER) + b"".join(line(c) for c in COMMITS)


def journal(folder: Path, raw: bytes) -> Journal:
    (folder / JOURNAL).write_bytes(raw)
    return Journal(folder)


def test_commits_are_given_from_the_last_to_the_first(tmp_path: Path) -> None:
    """Each with the length of the journal up to it."""
    found = list(journal(tmp_path, WHOLE).commits())
    assert [commit for commit, _ in found] == COMMITS[::-1]
    assert [end for _, end in found] == [len(line(HEADER)) + sum(len(line(c)) for c in COMMITS[: i + 1]) for i in (3, 2, 1, 0)]


@given(st.integers(0, len(WHOLE)))
def test_a_torn_line_never_counts(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    """However much of the journal is there, the last commit is the last one whose newline is."""
    folder = tmp_path_factory.mktemp("journal")
    whole_lines = WHOLE[:cut].count(b"\n")
    if not whole_lines:
        with pytest.raises(ArchiveError, match="damaged"):
            journal(folder, WHOLE[:cut])
        return
    assert journal(folder, WHOLE[:cut]).last() == (COMMITS[whole_lines - 2] if whole_lines > 1 else None)


def test_a_line_that_is_no_commit_is_passed_over(tmp_path: Path) -> None:
    """Zeros where a line was (power was lost) hide nothing before them."""
    raw = line(HEADER) + line(COMMITS[0]) + line(COMMITS[1]) + b"\0" * 50 + b"\n" + b"{}\n"
    assert [c.n for c, _ in journal(tmp_path, raw).commits()] == [6, 5]


def test_a_journal_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    """It says which file cannot be read."""
    with pytest.raises(ArchiveError, match="cannot read"):
        Journal(tmp_path)


def test_a_writer_goes_on_after_the_last_commit_or_the_header() -> None:
    """Number, position and counters are those of the last commit; without one, those that the header carries over."""
    assert resume(HEADER, None) == (5, {"at": 7}, {"rows": 1})
    assert resume(HEADER, COMMITS[3]) == (9, {"at": 30}, {})


def test_what_is_not_json_is_refused() -> None:
    """A position must be able to be read again."""
    with pytest.raises(TypeError):
        line(Commit(0, {"at": object()}, {}, {}, {}))
