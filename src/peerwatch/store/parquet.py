"""How rows lie in Parquet: row groups of a bounded size, an encoding for each kind of column, statistics where they help."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from peerwatch.schema.columns import Semantic
from peerwatch.schema.table import Table

ROW_GROUP = 1 << 18
"""Rows of a row group at most: what is held in memory at a time; twice as many save 1 % of the bytes."""
GROUP_BYTES = 32 << 20
"""Bytes in memory at which a row group ends though it has fewer rows, as one of payloads."""
LEVEL = 3
"""zstd level: 9 takes five times as long for 2 % fewer bytes."""

_TOLD_APART = {Semantic.TIME, Semantic.SEQUENCE, Semantic.PEER, Semantic.DURATION}
"""By the extremes of such columns, and of node and source, a query can pass over row groups. Those of hashes or sizes tell
nothing, and cost 10 % of the time."""


class Pile:
    """Gathers batches of one schema and gives them back in row groups."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._held: list[pa.RecordBatch] = []
        self._rows = 0
        self._bytes = 0

    def add(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Take a batch; give what makes up row groups."""
        self._held.append(batch)
        self._rows += batch.num_rows
        self._bytes += batch.nbytes
        if self._rows >= ROW_GROUP or self._bytes >= GROUP_BYTES:
            # Rows of a usual size fill row groups to the full, and the rest waits for more; large ones go at once.
            yield from self._give(whole=self._bytes < GROUP_BYTES)

    def rest(self) -> Iterator[pa.RecordBatch]:
        """Give what is left."""
        yield from self._give(whole=False)

    def _give(self, *, whole: bool) -> Iterator[pa.RecordBatch]:
        held, self._held, self._rows, self._bytes = self._held, [], 0, 0
        joined = _joined(held)
        for rows in joined:
            stop = rows.num_rows // ROW_GROUP * ROW_GROUP if whole and len(joined) == 1 else rows.num_rows
            for at in range(0, stop, ROW_GROUP):
                yield _tight(rows.slice(at, min(ROW_GROUP, stop - at)))
            if stop < rows.num_rows:
                self._held = [rows.slice(stop)]
                self._rows, self._bytes = self._held[0].num_rows, self._held[0].nbytes


def _joined(batches: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """Batches as one batch, or as they are where their dictionaries together have more values than there are codes."""
    if not batches:
        return []
    try:
        return list(pa.Table.from_batches(batches).unify_dictionaries().combine_chunks().to_batches())
    except pa.ArrowInvalid:
        return batches


def _tight(rows: pa.RecordBatch) -> pa.RecordBatch:
    """The same rows, with no value in a dictionary that none of them has: it would be written, and make all codes longer."""
    for i, field in enumerate(rows.schema):
        if pa.types.is_dictionary(field.type) and len(rows.column(i).dictionary) > 1:
            rows = rows.set_column(i, field, _occurring(rows.column(i)))
    return rows


def _occurring(column: pa.DictionaryArray) -> pa.DictionaryArray:
    codes = column.indices
    used = np.flatnonzero(np.bincount(codes.drop_null().to_numpy(), minlength=len(column.dictionary)))
    if len(used) == len(column.dictionary):
        return column
    place = np.zeros(len(column.dictionary), np.int16)
    place[used] = np.arange(len(used), dtype=np.int16)
    return pa.DictionaryArray.from_arrays(pa.array(place).take(codes), column.dictionary.take(pa.array(used)))


def opened(path: Path, table: type[Table]) -> pq.ParquetFile:
    """A file of a table, to be read with its labels as dictionaries, also when some columns came only after it was written.

    Raises:
        OSError, pyarrow.ArrowException: it cannot be read, or is damaged.
    """
    metadata = pq.read_metadata(path)
    labels = [f.name for f in table.arrow if pa.types.is_dictionary(f.type) and f.name in metadata.schema.names]
    return pq.ParquetFile(path, metadata=metadata, read_dictionary=labels)


class ParquetFile:
    """A Parquet file of a table being written, one batch a row group."""

    def __init__(self, path: Path, table: type[Table], facts: dict[str, str] | None = None) -> None:
        """Begin the file `path`, with `facts` in its metadata."""
        self._path = path
        self._table = table
        self._facts = facts
        self._writer: pq.ParquetWriter | None = None

    def write(self, rows: pa.RecordBatch) -> None:
        """Write a row group, of at most ROW_GROUP rows."""
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, rows.schema, **_encodings(self._table))
        self._writer.write_batch(rows, row_group_size=ROW_GROUP)

    def close(self) -> None:
        """Finish the file; there is none when nothing was written."""
        if self._writer is not None:
            if self._facts:
                self._writer.add_key_value_metadata(self._facts)
            self._writer.close()

    def __enter__(self) -> Self:
        """Nothing but the file itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Finish it."""
        self.close()


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
        "write_statistics": [
            n for n, column in table.columns.items() if column.semantic in _TOLD_APART or n in {"node", "source"}
        ],
        "store_schema": False,
    }
