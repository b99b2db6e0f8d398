"""`peerwatch sql`: ask the archive, the running one included."""

from __future__ import annotations

import json
import shutil
import sys
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
@click.option("--rows", default=SHOWN_ROWS, show_default=True, help="Rows shown at most by the table format.")
@click.option("--timeout", default=60.0, show_default=True, help="Seconds that the query may take.")
@click.option("--memory", default=1024, show_default=True, help="Megabytes that the query may use.")
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
    shown: list[dict[str, Any]] = []
    more = 0
    for batch in reader:
        take = min(batch.num_rows, rows - len(shown))
        shown += batch.slice(0, take).to_pylist()
        more += batch.num_rows - take
    names = reader.schema.names
    cells = [[_cell(row[n]) for n in names] for row in shown]
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
            click.echo(json.dumps(row, default=_plain))


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else str(value)


def _csv(reader: pa.RecordBatchReader, _rows: int) -> None:
    from pyarrow import csv  # noqa: PLC0415 - only this format needs it

    with csv.CSVWriter(_stdout(), _texts_for_bytes(reader.schema)) as writer:
        for batch in reader:
            writer.write_batch(_without_bytes(batch))


def _texts_for_bytes(schema: pa.Schema) -> pa.Schema:
    return pa.schema([pa.field(f.name, pa.utf8() if _is_bytes(f.type) else f.type) for f in schema])


def _without_bytes(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = [
        pa.array([None if v is None else v.hex() for v in c.to_pylist()], pa.utf8()) if _is_bytes(c.type) else c
        for c in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=_texts_for_bytes(batch.schema))


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
