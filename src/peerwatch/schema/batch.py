"""Batches of rows on their way from a source to detectors and store, and NumPy views of their columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from peerwatch.schema.table import Identity

SECOND = 1_000_000_000
"""Nanoseconds in a second."""

Array = npt.NDArray[Any]


class Rows:
    """One table's rows as NumPy columns, made on first use.

    `rows["peer"]` is an array of the column's storage type. Dictionary columns give an object array of str (or None);
    `rows.codes("type")` gives their (codes, values) without making strings. Null numbers read as 0 (`rows.valid(name)` tells).
    Fixed-size binary of n bytes gives a uint8 array of shape (rows, n).
    """

    __slots__ = ("_cache", "batch")

    def __init__(self, batch: pa.RecordBatch) -> None:
        """Wrap `batch`; nothing is copied yet."""
        self.batch = batch
        self._cache: dict[str, Array] = {}

    def __len__(self) -> int:
        """Number of rows."""
        return int(self.batch.num_rows)

    def __getitem__(self, name: str) -> Array:
        """The column as a NumPy array; see the class."""
        if name not in self._cache:
            self._cache[name] = _to_numpy(self.batch.column(name))
        return self._cache[name]

    def codes(self, name: str) -> tuple[Array, list[str]]:
        """A dictionary column as (index per row, -1 for null; values)."""
        column = self.batch.column(name)
        codes = column.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return codes, column.dictionary.to_pylist()

    def where(self, name: str, value: str) -> Array:
        """Mask of the rows whose dictionary column `name` equals `value`."""
        codes, values = self.codes(name)
        return codes == values.index(value) if value in values else np.zeros(len(self), bool)

    def valid(self, name: str) -> Array:
        """Mask of the rows where the column is not null."""
        return np.asarray(self.batch.column(name).is_valid().to_numpy(zero_copy_only=False))

    def slice(self, start: int, stop: int) -> Rows:
        """Rows start … stop-1, without copying."""
        return Rows(self.batch.slice(start, stop - start))


def _to_numpy(column: pa.Array) -> Array:
    kind = column.type
    if pa.types.is_dictionary(kind):
        values = np.array([*column.dictionary.to_pylist(), None], dtype=object)
        return np.asarray(values[column.indices.fill_null(-1).to_numpy(zero_copy_only=False)])
    if pa.types.is_fixed_size_binary(kind):
        width = kind.byte_width
        data = column.buffers()[1]
        if data is None:
            return np.zeros((len(column), width), np.uint8)
        whole = np.frombuffer(data, np.uint8, len(column) * width, column.offset * width)
        return whole.reshape(len(column), width)
    if column.null_count and not (pa.types.is_string(kind) or pa.types.is_binary(kind)):
        column = column.fill_null(False if pa.types.is_boolean(kind) else 0)
    return np.asarray(column.to_numpy(zero_copy_only=False))


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one node and source that belong together in time.

    `events` are the times (ns) of the source's events in their order of arrival; `event_of[table]` says, for each row of that
    table, which event it came from, and never decreases. The detector runner cuts at whole seconds by these two, so what
    detectors find does not depend on how rows were batched. `watermark` (ns) never goes back, but where a `loss` row of
    kind clock says that the wall clock did: rows with an earlier time have been delivered, as far as the source can know.
    """

    identity: Identity
    watermark: int
    tables: Mapping[str, pa.RecordBatch]
    events: Array
    event_of: Mapping[str, Array]
