"""Sealing: a closed segment becomes Parquet files, one a table and day, and goes.

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
import pyarrow.parquet as pq

from peerwatch.schema.columns import Semantic
from peerwatch.schema.registry import all_tables
from peerwatch.schema.table import Table
from peerwatch.schema.tables.message import Message
from peerwatch.schema.tables.rate import Rate
from peerwatch.store import layout
from peerwatch.store.conform import conform
from peerwatch.store.errors import ArchiveError
from peerwatch.store.journal import Commit
from peerwatch.store.layout import DAY, GONE, SEALING, STREAM, WAL
from peerwatch.store.recovery import Closed
from peerwatch.store.rollup import Rollup
from peerwatch.store.wal import read_stream

ROW_GROUP = 1 << 18
"""Rows of a row group: what is held in memory at a time; twice as many save 1 % of the bytes."""
LEVEL = 3
"""zstd level: 9 takes five times as long for 2 % fewer bytes."""


def seal(root: Path, segment: Closed) -> None:
    """Turn a segment into Parquet files and remove it.

    Raises:
        OSError: a file cannot be written, as on a full disk; the segment stays, and counts.
        ArchiveError: the segment cannot be read.
        pyarrow.ArrowException: likewise.
    """
    scratch = segment.path / SEALING
    try:
        files = _write(segment, scratch)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    folders: set[Path] = set()
    for final, written in files.items():
        target = root / final
        target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        written.rename(target)
        folders.update(list(target.parents)[:4])
    for folder in folders:
        layout.sync(folder)
    gone = segment.path.with_name(segment.path.name + GONE)
    with layout.locked(root, exclusive=True):
        segment.path.rename(gone)
    layout.sync(root / WAL)
    shutil.rmtree(gone)


def _write(segment: Closed, scratch: Path) -> dict[Path, Path]:
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
        for name, table in all_tables().items():
            if name == Rate.name:
                continue
            for rows in _pieces(segment, commit, table):
                days.write(table, rows)
                if table is Message:
                    rollup.add(rows)
        for rows in _pieces(segment, commit, Rate):
            days.write(Rate, rows)
        for batch in rollup.rows(segment.name.identity):  # in row groups of their own, so that `history` can pass over them
            days.write(Rate, _plain([batch]))
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
        self._writers: dict[tuple[str, int], pq.ParquetWriter] = {}

    def write(self, table: type[Table], rows: pa.Table) -> None:
        """Write rows, those of each day to its file."""
        days = rows["ts"].to_numpy() // DAY
        first, last = int(days.min()), int(days.max())
        if first == last:
            self._writer(table, first, rows.schema).write_table(rows, row_group_size=ROW_GROUP)
            return
        for day in np.unique(days):
            self._writer(table, int(day), rows.schema).write_table(rows.filter(pa.array(days == day)), row_group_size=ROW_GROUP)

    def _writer(self, table: type[Table], day: int, schema: pa.Schema) -> pq.ParquetWriter:
        if (table.name, day) not in self._writers:
            path = self._scratch / f"{table.name}-{day}.parquet"
            self.files[self._segment.name.parquet(table.name, day, self._commit.n)] = path
            self._writers[table.name, day] = pq.ParquetWriter(path, schema, **_encodings(table))
        return self._writers[table.name, day]

    def close(self) -> None:
        """Finish all files."""
        for writer in self._writers.values():
            writer.close()


def _encodings(table: type[Table]) -> dict[str, object]:
    """How a table's columns are written: times and sequence numbers as differences, the rest by dictionary while that pays."""
    differences = {
        name
        for name, column in table.columns.items()
        if pa.types.is_integer(column.arrow)
        and name != "session"
        and (column.semantic is Semantic.SEQUENCE or (column.semantic is Semantic.TIME and column.unit == "ns"))
    }
    return {
        "compression": "zstd",
        "compression_level": LEVEL,
        "use_dictionary": [name for name in table.columns if name not in differences],
        "column_encoding": dict.fromkeys(differences, "DELTA_BINARY_PACKED"),
        "store_schema": False,
    }


def _pieces(segment: Closed, commit: Commit, table: type[Table]) -> Iterator[pa.Table]:
    """A table's rows in pieces of about a row group, labels as plain text."""
    length = commit.lengths.get(table.name, 0)
    if not length:
        return
    held: list[pa.RecordBatch] = []
    count = 0
    with pa.OSFile(str(segment.path / f"{table.name}{STREAM}")) as file:
        for batch in read_stream(file):
            held.append(conform(batch, table))
            count += batch.num_rows
            if count >= ROW_GROUP:
                yield _plain(held)
                held, count = [], 0
    if held:
        yield _plain(held)


def _plain(batches: list[pa.RecordBatch]) -> pa.Table:
    """Batches as one table with text in place of dictionaries: Parquet makes its own, of just the values that occur."""
    rows = pa.Table.from_batches(batches)
    for i, field in enumerate(rows.schema):
        if pa.types.is_dictionary(field.type):
            text = field.type.value_type
            rows = rows.set_column(i, pa.field(field.name, text, field.nullable), rows.column(i).cast(text))
    return rows
