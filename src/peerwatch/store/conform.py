"""Rows as they lie on disk, brought to the present schema of their table: schemas only grow, by nullable columns."""

from __future__ import annotations

import pyarrow as pa

from peerwatch.schema.table import Table


def conform(rows: pa.RecordBatch | pa.Table, table: type[Table]) -> pa.RecordBatch:
    """One batch with exactly the columns of `table`.

    Columns that were not there when the rows were written become null; columns that this version does not know are left out.

    Raises:
        pyarrow.ArrowException: a column that is not of its table's type and cannot be cast to it.
        ValueError: a required column is missing.
    """
    if isinstance(rows, pa.Table):
        rows = _one_batch(rows)
    if rows.schema.equals(table.arrow):
        return rows
    arrays = []
    for field in table.arrow:
        index = rows.schema.get_field_index(field.name)
        if index < 0 and not field.nullable:
            raise ValueError(f"rows of {table.name} lack the column {field.name}")
        arrays.append(pa.nulls(rows.num_rows, field.type) if index < 0 else rows.column(index).cast(field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=table.arrow)


def _one_batch(rows: pa.Table) -> pa.RecordBatch:
    whole = rows.unify_dictionaries().combine_chunks()
    if not whole.num_rows:
        return pa.RecordBatch.from_pylist([], schema=whole.schema)
    return whole.to_batches()[0]
