"""Compaction: many small Parquet files of one table, date and source become few large ones, with the same rows in the same order.

Crash-safe at any point. A file is written aside, synced and renamed to a name that covers the commits of all that it was made of;
from that moment readers pass over these (`files.replaced`), and whoever comes next deletes them. The work is linear: a row is
written once when its segment is sealed, once in a file of about an hour, once in one of its day. A file that is large already is
left alone, as opening it is little against reading it; at a high rate segments are that large from the start.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import pyarrow.parquet as pq

from peerwatch.schema.registry import all_tables
from peerwatch.schema.table import Table
from peerwatch.schema.tables.rate import Rate
from peerwatch.store import layout, rollup
from peerwatch.store.conform import conform
from peerwatch.store.errors import ArchiveError
from peerwatch.store.files import Sealed
from peerwatch.store.layout import FileName
from peerwatch.store.parquet import ParquetFile, Pile, opened

MANY = 12
"""Files of a kind that are put together while more may follow: an hour's, at five minutes a segment."""
LARGE = 8 << 20
"""Bytes from which on a file is left alone."""
FULL = 64 << 20
"""Bytes of all files that are put together, at most."""
DAY = 9
"""Level of a file that was made when its date was over."""

_LEVEL = "peerwatch.level"


def level(path: Path) -> int:
    """How often the rows of a file were put together: 0 for a segment's.

    Raises:
        OSError, pyarrow.ArrowException: it cannot be read.
    """
    facts = pq.read_metadata(path).metadata or {}
    return int(facts.get(_LEVEL.encode(), b"0"))


def plan(
    files: Sequence[Sealed], size: Callable[[Sealed], int], level_of: Callable[[Sealed], int], *, over: bool
) -> list[tuple[list[Sealed], int]]:
    """Which files of one folder and identity, in order of their commits, to put together, and the level of what comes of it.

    Only neighbours are, so that no other file's commits lie within those of the new one. While the date is not `over`: MANY files
    of one level. After that all that are left, and what comes late as soon as it is MANY.
    """
    plans = []
    for small, run in groupby(files, key=lambda f: size(f) < LARGE):
        alike = list(run)
        if not small or len(alike) < (2 if over else MANY):
            continue
        if over:
            chunks = [(chunk, DAY) for chunk in _chunks(alike, size)]
            plans += [(c, n) for c, n in chunks if len(c) >= MANY or (len(c) > 1 and DAY not in map(level_of, c))]
        else:
            for n, same in groupby(alike, key=level_of):
                equals = list(same)
                if len(equals) >= MANY:
                    plans += [(chunk, n + 1) for chunk in _chunks(equals, size) if len(chunk) > 1]
    return plans


def _chunks(files: list[Sealed], size: Callable[[Sealed], int]) -> Iterator[list[Sealed]]:
    """Neighbours of up to FULL bytes together."""
    chunk: list[Sealed] = []
    total = 0
    for file in files:
        if chunk and total + size(file) > FULL:
            yield chunk
            chunk, total = [], 0
        chunk.append(file)
        total += size(file)
    yield chunk


def merge(files: Sequence[Sealed], level: int, scratch: Path) -> Iterator[None]:
    """Put files together, neighbours of one folder and identity; pauses after each row group read.

    What is given up before the end leaves no trace but `scratch`.

    Raises:
        OSError: a file cannot be written, as on a full disk.
        ArchiveError: a file has columns that this version does not know, or lost rows.
        pyarrow.ArrowException, ValueError: a file is damaged.
    """
    table = all_tables()[files[0].table]
    target = files[0].folder / str(FileName(files[0].identity, files[0].first, files[-1].last))
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(mode=0o750)
    try:
        written = scratch / target.name
        with ParquetFile(written, table, {_LEVEL: str(level)}) as file:
            yield from _copy(files, table, file)
        expected = sum(pq.read_metadata(source.path).num_rows for source in files)
        if (found := pq.read_metadata(written).num_rows) != expected:
            raise ArchiveError(f"{target.name} has {found} rows of {expected}")
        layout.sync(written)
        written.rename(target)
        layout.sync(target.parent)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _copy(files: Sequence[Sealed], table: type[Table], target: ParquetFile) -> Iterator[None]:
    """Copy all rows, those of each kind in row groups of their own."""
    piles: dict[object, Pile] = {}
    for source in files:
        with opened(source.path, table) as file:
            if unknown := set(file.schema_arrow.names) - table.columns.keys():
                raise ArchiveError(f"{source.path} has columns of a newer version: {', '.join(sorted(unknown))}")
            for number in range(file.num_row_groups):
                rows = conform(file.read_row_group(number, use_threads=False), table)
                for group in piles.setdefault(_kind(file.metadata.row_group(number), table), Pile()).add(rows):
                    target.write(group)
                yield
    for pile in piles.values():
        for group in pile.rest():
            target.write(group)


def _kind(group: pq.RowGroupMetaData, table: type[Table]) -> object:
    """What rows of a row group have in common that other row groups must not share: of roll-ups their width."""
    if table is not Rate:
        return None
    names = [group.column(i).path_in_schema for i in range(group.num_columns)]
    width, source = (group.column(names.index(name)).statistics for name in ("width", "source"))
    return (width.min, width.max), source.min == source.max == rollup.SOURCE
