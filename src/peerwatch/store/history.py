"""What an archive holds, in order of time and in pieces that fit in memory, for replaying it.

Roll-ups are left out: they are made whenever messages are sealed, and would be there twice after a replay.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from peerwatch.schema.registry import all_tables
from peerwatch.schema.table import Identity, Table
from peerwatch.store import layout, rollup, snapshot
from peerwatch.store.conform import conform
from peerwatch.store.errors import ArchiveError
from peerwatch.store.files import Sealed
from peerwatch.store.parquet import opened
from peerwatch.store.readers import Hold
from peerwatch.store.wal import read_stream


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of one table, not loaded yet. No row of this or a later piece of its tape has a `ts` below `low`."""

    low: int
    load: Callable[[], pa.RecordBatch]


class History:
    """Everything that was recorded of some tables when this was made. Holds what is not sealed, compressed, in memory.

    What is sealed stays on disk for as long as this, or one of its tapes, is referred to.
    """

    def __init__(self, path: Path, tables: Collection[str]) -> None:
        """Look at the archive at `path`.

        Raises:
            ArchiveError: no archive, one of a newer format, or one that cannot be read.
            KeyError: no such table.
        """
        self._tables = {name: all_tables()[name] for name in tables}
        self._recorded = layout.read_meta(path).tables
        taken = snapshot.take(path, self._tables.keys())
        self._sealed: dict[Identity, dict[str, list[Sealed]]] = {}
        self._live: dict[Identity, list[Mapping[str, pa.Buffer]]] = {}
        self._hold = taken.hold
        for file in taken.sealed:
            if not file.rollup:
                self._sealed.setdefault(file.identity, {}).setdefault(file.table, []).append(file)
        for live in taken.live:
            if live.streams:
                self._live.setdefault(live.identity, []).append(live.streams)

    def lacking(self) -> Mapping[str, frozenset[str]]:
        """By table the columns that none of its rows has, as the archive is older than they are; tables that lack none left out.

        What reads such a column cannot run on this history.
        """
        known = {name: {c for columns in self._recorded.get(name, []) for c in columns} for name in self._tables}
        lacking = {name: frozenset(table.columns.keys() - known[name]) for name, table in self._tables.items()}
        return {name: columns for name, columns in lacking.items() if columns}

    def tables(self) -> frozenset[str]:
        """The tables that there are rows of."""
        found = [*self._sealed.values(), *(streams for live in self._live.values() for streams in live)]
        return frozenset(name for tables in found for name in tables)

    def identities(self) -> Sequence[Identity]:
        """Whose rows there are: by session, then node and source. Rows count under the writer that recorded them."""
        found = self._sealed.keys() | self._live.keys()
        return sorted(found, key=lambda i: (i.session, i.node, i.source))

    def tapes(self, identity: Identity) -> list[tuple[str, Iterator[Piece]]]:
        """Rows of an identity as (table, pieces in order of `low`); a table may have several.

        The pieces of a tape are to be loaded one after the other. Loading raises ArchiveError for a damaged file.
        """
        tapes = [(t, _sealed_pieces(self._tables[t], files, self._hold)) for t, files in self._sealed.get(identity, {}).items()]
        for streams in self._live.get(identity, []):
            tapes.extend((t, _live_pieces(self._tables[t], data)) for t, data in streams.items())
        return tapes


def _sealed_pieces(table: type[Table], files: list[Sealed], hold: Hold) -> Iterator[Piece]:
    """Row groups, for as long as they are held. Only the files of one date are looked into at a time; dates do not overlap."""
    for _, same_date in groupby(sorted(files, key=lambda f: f.date), key=lambda f: f.date):
        groups = [group for file in same_date for group in _row_groups(file.path)]
        for low, path, number in sorted(groups):
            yield Piece(low, partial(_read_row_group, table, path, number, hold))


def _row_groups(path: Path) -> Iterator[tuple[int, Path, int]]:
    """(first ts, path, number) of each row group of a file, but those of roll-ups, which had no folder of their own once."""
    try:
        metadata = pq.read_metadata(path)
    except (OSError, pa.ArrowException) as error:
        raise ArchiveError(f"cannot read {path}: {error}") from error
    ts, source = (metadata.schema.names.index(name) for name in ("ts", "source"))
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        if group.column(source).statistics.max != rollup.SOURCE or group.column(source).statistics.min != rollup.SOURCE:
            yield group.column(ts).statistics.min, path, number


def _read_row_group(table: type[Table], path: Path, number: int, _hold: Hold) -> pa.RecordBatch:
    try:
        with opened(path, table) as file:
            return conform(file.read_row_group(number, use_threads=False), table)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise ArchiveError(f"cannot read {path}: {error}") from error


def _live_pieces(table: type[Table], data: pa.Buffer) -> Iterator[Piece]:
    """Batches of a stream. They can only be read in their order, so each says what the earliest of all that follow is."""
    lows = np.array([batch.column(0).to_numpy().min() for batch in read_stream(data, ["ts"])])
    lows = np.minimum.accumulate(lows[::-1])[::-1]
    batches = read_stream(data)
    for low in lows.tolist():
        yield Piece(low, lambda: conform(next(batches), table))
