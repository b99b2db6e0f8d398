"""Rows of one second out of a batch of many, without making their columns anew for each second."""

from __future__ import annotations

import pyarrow as pa

from peerwatch.schema.batch import Array, Rows


class Whole(Rows):
    """All rows of a table in a batch; keeps codes and masks, too, because every slice asks for them."""

    __slots__ = ("_codes", "_valid")

    def __init__(self, batch: pa.RecordBatch) -> None:
        """Wrap `batch`; nothing is copied yet."""
        super().__init__(batch)
        self._codes: dict[str, tuple[Array, list[str]]] = {}
        self._valid: dict[str, Array] = {}

    def codes(self, name: str) -> tuple[Array, list[str]]:
        """As Rows, kept."""
        if name not in self._codes:
            self._codes[name] = super().codes(name)
        return self._codes[name]

    def valid(self, name: str) -> Array:
        """As Rows, kept."""
        if name not in self._valid:
            self._valid[name] = super().valid(name)
        return self._valid[name]

    def slice(self, start: int, stop: int) -> Rows:
        """Rows start … stop-1; their columns are views into those of the whole."""
        return self if start == 0 and stop == len(self) else Part(self, start, stop)


class Part(Rows):
    """Some rows in a row of a `Whole`."""

    __slots__ = ("_span", "_whole")

    def __init__(self, whole: Whole, start: int, stop: int) -> None:
        """Rows start … stop-1 of `whole`."""
        super().__init__(whole.batch.slice(start, stop - start))
        self._whole = whole
        self._span = slice(start, stop)

    def __getitem__(self, name: str) -> Array:
        """The column as a NumPy array."""
        return self._whole[name][self._span]

    def codes(self, name: str) -> tuple[Array, list[str]]:
        """A dictionary column as (index per row, -1 for null; values of the whole)."""
        codes, values = self._whole.codes(name)
        return codes[self._span], values

    def valid(self, name: str) -> Array:
        """Mask of the rows where the column is not null."""
        return self._whole.valid(name)[self._span]
