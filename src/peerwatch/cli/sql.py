"""`peerwatch sql`: ask the archive, the running one included."""

from __future__ import annotations

import json
import math
import shutil
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO

import click
import pyarrow as pa

from peerwatch.cli import options
from peerwatch.cli.main import fail
from peerwatch.store.errors import ArchiveError, QueryError
from peerwatch.store.macros import MACROS
from peerwatch.store.query import Bounds, Query

SHOWN_ROWS = 40
"""Rows of the text table, as many as fit a look; --rows shows more, the other formats always give all."""

_FUNCTIONS = "\n".join(f"  {m.call}: {m.doc}" for m in MACROS)


@click.command("sql", epilog=f"\b\nFunctions beyond DuckDB's own:\n{_FUNCTIONS}")
@click.argument("query")
@options.archive
@click.option("--format", "form", type=click.Choice(["table", "json", "csv", "parquet"]), default="table", show_default=True)
@click.option(
    "--rows", type=click.IntRange(min=0), default=SHOWN_ROWS, show_default=True, help="Rows shown at most by the table format."
)
@click.option(
    "--timeout", type=click.FloatRange(min=0.1), default=60.0, show_default=True, help="Seconds that the query may take."
)
@click.option("--memory", type=click.IntRange(min=16), default=1024, show_default=True, help="Megabytes that the query may use.")
def command(*, query: str, archive: Path, form: str, rows: int, timeout: float, memory: int) -> None:  # noqa: PLR0913 - options
    """Run a SELECT over the archive (DuckDB's SQL) and print the result.

    \b
    Examples:
      peerwatch sql "SELECT type, count(*), sum(size) FROM message GROUP BY ALL ORDER BY 2 DESC"
      peerwatch sql "SELECT utc(ts), ip_text(ip), port FROM address LIMIT 5" --format csv
    """
    try:
        with Query(archive, Bounds(time_s=timeout, memory_mb=memory)).reader(query) as reader:
            _WRITERS[form](reader, rows)
    except (ArchiveError, QueryError) as error:
        raise fail(str(error)) from error


def _table(reader: pa.RecordBatchReader, rows: int) -> None:
    shown: list[tuple[Any, ...]] = []
    more = 0
    for batch in reader:
        take = min(batch.num_rows, rows - len(shown))
        shown += zip(*(column.slice(0, take).to_pylist() for column in batch.columns), strict=True)
        more += batch.num_rows - take
    names = [_cell(n) for n in reader.schema.names]
    cells = [[_cell(value) for value in row] for row in shown]
    right = [pa.types.is_integer(f.type) or pa.types.is_floating(f.type) or pa.types.is_decimal(f.type) for f in reader.schema]
    widths = [max([len(n), *(len(row[i]) for row in cells)]) for i, n in enumerate(names)]
    limit = shutil.get_terminal_size((200, 24)).columns
    for row in [names, ["─" * w for w in widths], *cells]:
        fitted = [c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)]
        click.echo("  ".join(fitted).rstrip()[:limit] if sys.stdout.isatty() else "  ".join(fitted).rstrip())
    if more:
        click.echo(f"… and {more} more rows (--rows)")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.hex()
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    # What peers sent is escaped where it is dissected; this guards against what a query makes of it (chr(27) …).
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _json(reader: pa.RecordBatchReader, _rows: int) -> None:
    for batch in reader:
        for row in batch.to_pylist():
            click.echo(_json_text(row))


def _json_text(value: Any) -> str:
    return json.dumps(_plain(value), default=str, allow_nan=False)


def _plain(value: Any) -> Any:
    """A value in JSON's own types as far as it fits; DuckDB sums up integers as decimals of 38 digits."""
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _csv(reader: pa.RecordBatchReader, _rows: int) -> None:
    from pyarrow import csv  # noqa: PLC0415 - only this format needs it

    schema = pa.schema([pa.field(f.name, pa.utf8() if _needs_text(f.type) else f.type) for f in reader.schema])
    with csv.CSVWriter(_stdout(), schema) as writer:
        for batch in reader:
            writer.write_batch(pa.RecordBatch.from_arrays([_column(c) for c in batch.columns], schema=schema))


def _column(values: pa.Array) -> pa.Array:
    if not _needs_text(values.type):
        return values
    return pa.array([_text(v) for v in values.to_pylist()], pa.utf8())


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return _cell(value)
    return None if value is None else value.hex() if isinstance(value, bytes) else _json_text(value)


def _needs_text(kind: pa.DataType) -> bool:
    """Whether CSV has no form for values of a type, or none that is harmless on a terminal."""
    if sys.stdout.isatty() and pa.types.is_string(kind):
        return True
    return bool(pa.types.is_nested(kind) or pa.types.is_interval(kind) or _is_bytes(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _parquet(reader: pa.RecordBatchReader, _rows: int) -> None:
    from pyarrow import parquet  # noqa: PLC0415 - only this format needs it

    if sys.stdout.isatty():
        raise fail("parquet is not for a terminal; redirect it into a file")
    with parquet.ParquetWriter(_stdout(), reader.schema, compression="zstd") as writer:
        for batch in reader:
            writer.write_batch(batch)


def _stdout() -> BinaryIO:
    return sys.stdout.buffer


_WRITERS = {"table": _table, "json": _json, "csv": _csv, "parquet": _parquet}
