"""Retention: old rows go, whole files at a time, by age and when the archive is larger than it may be.

What is recorded at every level (roll-ups, connections, losses, incidents) is kept longer than the rows of single messages.
Nothing goes unsaid: before any file goes, archive.json tells up to which date rows of a table were removed, and names the files.
From that moment they do not count; they are deleted once nobody reads them any more, after a crash, too (`removal`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import IntEnum
from itertools import groupby
from pathlib import Path

from peerwatch.store.files import Sealed


class Kept(IntEnum):
    """How long a file is kept compared with others of its age: the lower go first."""

    ROWS = 0
    """Rows of single messages, and of what is in them."""
    SECONDS = 1
    """Roll-ups of a second."""
    LONG = 2
    """Roll-ups of minutes and hours, and what is rare: connections, losses, incidents."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what is recorded is kept; without a bound it is kept for good. Days count after the day that rows are of."""

    rows_days: int | None = None
    """Days that rows of single messages, and of what is in them, are kept."""
    rollup_days: int | None = None
    """Days that roll-ups, connections, losses and incidents are kept."""
    bytes: int | None = None
    """Size of the whole archive. Beyond it the oldest rows go first, then the oldest roll-ups."""
    seconds_days: int | None = None
    """Days that roll-ups of a second are kept, if not as long as those of a minute and an hour."""

    def days(self, kept: Kept) -> int | None:
        """For how many days files of a kind are kept."""
        seconds = self.rollup_days if self.seconds_days is None else self.seconds_days
        return {Kept.ROWS: self.rows_days, Kept.SECONDS: seconds, Kept.LONG: self.rollup_days}[kept]


@dataclass(frozen=True, slots=True)
class Weighed:
    """A Parquet file with those that it replaced and that are still there: they go together. `size` is that of all."""

    file: Sealed
    kept: Kept
    size: int
    replaced: tuple[Path, ...] = ()

    @property
    def age(self) -> tuple[str, int, int, str, str]:
        """What is older is less: by date, then by when it was recorded."""
        return self.file.date, self.file.identity.session, self.file.first, self.file.table, str(self.file.path)


def plan(files: Sequence[Weighed], total: int, retention: Retention, today: date) -> list[Weighed]:
    """What to remove of an archive of `total` bytes.

    The newest day that is not in the future goes only when there are too many bytes, and then file by file.
    """
    newest = max((w.file.date for w in files if w.file.date <= str(today)), default="")
    going = [w for w in files if w.file.date != newest and _aged(w, retention, today)]
    if retention.bytes is None:
        return going
    left = total - sum(w.size for w in going)
    gone = {w.file.path for w in going}
    for lot in _lots([w for w in files if w.file.path not in gone], newest):
        if left <= retention.bytes:
            break
        going += lot
        left -= sum(w.size for w in lot)
    return going


def _aged(weighed: Weighed, retention: Retention, today: date) -> bool:
    days = retention.days(weighed.kept)
    return days is not None and weighed.file.date < str(today - timedelta(days))


def _lots(files: list[Weighed], newest: str) -> Iterator[list[Weighed]]:
    """What to remove at a time: dates, kind by kind; then, of the newest day, one file after the other."""
    for kept in Kept:
        older = sorted((w for w in files if w.kept is kept and w.file.date != newest), key=lambda w: w.age)
        yield from (list(lot) for _, lot in groupby(older, key=lambda w: w.file.date))
    for kept in Kept:
        yield from ([w] for w in sorted((w for w in files if w.kept is kept and w.file.date == newest), key=lambda w: w.age))
