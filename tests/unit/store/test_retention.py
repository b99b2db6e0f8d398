"""Tests of what is to be removed."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from peerwatch.schema.table import Identity
from peerwatch.store.files import Sealed
from peerwatch.store.retention import Kept, Retention, Weighed, plan

TODAY = date(2024, 3, 10)
ROWS, SECONDS, LONG = Kept


def weighed(days_ago: int, kept: Kept = ROWS, size: int = 10, first: int = 0) -> Weighed:
    day = str(TODAY - timedelta(days_ago))
    file = Sealed(Identity("n", 1, "usdt"), kept.name, day, Path(f"{kept.name}/{day}/{first}"), first, first)
    return Weighed(file, kept, size)


def removed(files: list[Weighed], retention: Retention) -> list[tuple[int, str, int]]:
    """(days ago, kind, first commit) of what goes, in order."""
    going = plan(files, sum(w.size for w in files), retention, TODAY)
    return [((TODAY - date.fromisoformat(w.file.date)).days, w.kept.name, w.file.first) for w in going]


def test_without_bounds_everything_stays() -> None:
    """However old and large."""
    assert removed([weighed(n, kept) for n in range(0, 5000, 100) for kept in Kept], Retention()) == []


def test_rows_go_by_age_and_roll_ups_later() -> None:
    """The day that lies so many days back is the last that stays."""
    files = [weighed(n, kept) for n in (0, 7, 8, 30, 31) for kept in Kept]
    assert removed(files, Retention(rows_days=7, rollup_days=30)) == [
        (8, "ROWS", 0),
        (30, "ROWS", 0),
        (31, "ROWS", 0),
        (31, "SECONDS", 0),
        (31, "LONG", 0),
    ]
    assert removed(files, Retention(rollup_days=30, seconds_days=8)) == [(30, "SECONDS", 0), (31, "SECONDS", 0), (31, "LONG", 0)]


def test_the_newest_day_stays_however_old_it_is() -> None:
    """As when nothing was recorded for long; a day in the future is not the newest, and not old."""
    assert removed([weighed(100), weighed(101)], Retention(rows_days=7)) == [(101, "ROWS", 0)]
    assert removed([weighed(100), weighed(101), weighed(-30_000)], Retention(rows_days=7)) == [(101, "ROWS", 0)]


def test_too_many_bytes_take_the_oldest_rows_first() -> None:
    """Whole days of rows, then of seconds, then of the rest, and no more than is needed."""
    files = [weighed(n, kept) for n in (0, 1, 2) for kept in Kept] + [weighed(2, first=9)]
    order = [(2, "ROWS", 0), (2, "ROWS", 9), (1, "ROWS", 0), (2, "SECONDS", 0), (1, "SECONDS", 0), (2, "LONG", 0), (1, "LONG", 0)]
    for bound, count in ((100, 0), (99, 2), (80, 2), (79, 3), (70, 3), (50, 5), (30, 7)):
        assert removed(files, Retention(bytes=bound)) == order[:count]


def test_of_the_newest_day_single_files_go_when_nothing_else_helps() -> None:
    """The oldest first, so that the last hours stay for as long as there is room for them."""
    files = [weighed(0, first=n) for n in (20, 3, 100)] + [weighed(0, LONG)]
    assert removed(files, Retention(bytes=25)) == [(0, "ROWS", 3), (0, "ROWS", 20)]
    assert removed(files, Retention(bytes=5)) == [(0, "ROWS", 3), (0, "ROWS", 20), (0, "ROWS", 100), (0, "LONG", 0)]


def test_age_comes_before_bytes() -> None:
    """What is too old counts no more when it is asked what is too much."""
    files = [weighed(n) for n in range(5)]
    assert removed(files, Retention(rows_days=2, bytes=30)) == [(3, "ROWS", 0), (4, "ROWS", 0)]
    assert removed(files, Retention(rows_days=2, bytes=29)) == [(3, "ROWS", 0), (4, "ROWS", 0), (2, "ROWS", 0)]


files = st.lists(
    st.builds(weighed, st.integers(-3, 40), st.sampled_from(Kept), st.integers(1, 100), st.integers(0, 1000)),
    unique_by=lambda w: w.file.path,
)


@given(files, st.integers(0, 3000), st.integers(1, 30) | st.none(), st.integers(1, 30) | st.none())
def test_bounds_are_kept(there: list[Weighed], bound: int, days: int | None, longer: int | None) -> None:
    """What stays is within the bounds, nothing goes twice, and no row goes while an older one of its kind stays."""
    total = sum(w.size for w in there)
    going = plan(there, total, Retention(days, longer, bound), TODAY)
    gone = {w.file.path for w in going}
    assert len(gone) == len(going)
    assert total - sum(w.size for w in going) <= bound
    for kept in Kept:
        stay = [w.file.date for w in there if w.kept is kept and w.file.path not in gone]
        assert all(w.file.date <= min(stay) for w in going if w.kept is kept and stay and w.file.date <= str(TODAY))
