"""Sealing: a closed segment becomes Parquet files, one a table and day, and goes. Roll-ups have files of their own.

Crash-safe at any point. The files are written inside of the segment and synced, moved to where they belong, and only then is the
segment renamed: before that moment readers take the segment and pass over the files that carry its name, after it the other way
round (`snapshot`). Sealing anew what was interrupted writes the same files again.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from peerwatch.schema.registry import all_tables
from peerwatch.schema.table import Level, Table
from peerwatch.schema.tables.message import Message
from peerwatch.schema.tables.rate import Rate
from peerwatch.store import layout
from peerwatch.store.conform import conform
from peerwatch.store.errors import ArchiveError
from peerwatch.store.journal import Commit
from peerwatch.store.layout import DAY, GONE, SEALING, STREAM, WAL
from peerwatch.store.parquet import ParquetFile, Pile
from peerwatch.store.recovery import Closed
from peerwatch.store.rollup import Rollup
from peerwatch.store.wal import read_stream


def seal(root: Path, segment: Closed, level: Level = Level.FULL) -> list[Path]:
    """Turn a segment into Parquet files and remove it. Returns the files, within the archive.

    Rows of tables beyond `level` are left out, but those of messages are in the roll-ups.

    Raises:
        OSError: a file cannot be written, as on a full disk; the segment stays, and counts.
        ArchiveError: the segment cannot be read.
        pyarrow.ArrowException: likewise.
    """
    scratch = segment.path / SEALING
    try:
        files = _write(segment, scratch, level)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    folders: set[Path] = set()
    for final, written in files.items():
        target = root / final
        target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        written.rename(target)
        folders.update(parent for parent in target.parents if parent.is_relative_to(root))
    for folder in folders:
        layout.sync(folder)
    gone = segment.path.with_name(segment.path.name + GONE)
    with layout.locked(root, exclusive=True):
        segment.path.rename(gone)
    layout.sync(root / WAL)
    shutil.rmtree(gone)
    return list(files)


def _write(segment: Closed, scratch: Path, level: Level) -> dict[Path, Path]:
    """Write all files of a segment; return where each belongs in the archive, and where it is."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    if (commit := segment.last) is None:
        return {}
    if unknown := commit.lengths.keys() - all_tables().keys():
        raise ArchiveError(f"{segment.path} holds tables of a newer version: {', '.join(sorted(unknown))}")
    rollup = Rollup()
    days = _Days(segment, commit, scratch)
    try:
        for table in all_tables().values():
            kept = table.level in list(Level)[: list(Level).index(level) + 1]
            for rows in _row_groups(segment, commit, table) if kept or table is Message else ():
                if kept:
                    days.write(table, rows)
                if table is Message:
                    rollup.add(rows)
        for batch in rollup.rows(segment.name.identity):  # of each width in row groups of their own, for queries to pick
            pile = Pile()
            for rows in (*pile.add(batch), *pile.rest()):
                days.write(Rate, rows, rollup=True)
    finally:
        days.close()
    for path in days.files.values():
        layout.sync(path)
    return days.files


class _Days:
    """Parquet files being written, one for each table and day of a segment."""

    def __init__(self, segment: Closed, commit: Commit, scratch: Path) -> None:
        self.files: dict[Path, Path] = {}
        self._segment = segment
        self._commit = commit
        self._scratch = scratch
        self._open: dict[Path, ParquetFile] = {}

    def write(self, table: type[Table], rows: pa.RecordBatch, *, rollup: bool = False) -> None:
        """Write rows, those of each day to its file."""
        days = rows.column("ts").to_numpy() // DAY
        first, last = int(days.min()), int(days.max())
        if first == last:
            self._file(table, first, rollup=rollup).write(rows)
            return
        for day in np.unique(days):
            self._file(table, int(day), rollup=rollup).write(rows.filter(pa.array(days == day)))

    def _file(self, table: type[Table], day: int, *, rollup: bool) -> ParquetFile:
        final = self._segment.name.parquet(table.name, day, self._commit.n, rollup=rollup)
        if final not in self._open:
            self.files[final] = self._scratch / f"{len(self.files)}.parquet"
            self._open[final] = ParquetFile(self.files[final], table)
        return self._open[final]

    def close(self) -> None:
        """Finish all files."""
        for file in self._open.values():
            file.close()


def _row_groups(segment: Closed, commit: Commit, table: type[Table]) -> Iterator[pa.RecordBatch]:
    """A table's rows in row groups."""
    length = commit.lengths.get(table.name, 0)
    if not length:
        return
    pile = Pile()
    with pa.OSFile(str(segment.path / f"{table.name}{STREAM}")) as file:
        for batch in read_stream(file):
            yield from pile.add(conform(batch, table))
    yield from pile.rest()
