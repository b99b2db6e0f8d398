"""SQL over an archive in place: its Parquet files and what was recorded within this second, by DuckDB, for reading only."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from peerwatch.schema.registry import all_tables
from peerwatch.schema.table import Table
from peerwatch.store import layout, snapshot
from peerwatch.store.conform import conform
from peerwatch.store.errors import ArchiveError, QueryError
from peerwatch.store.guard import check, first_line
from peerwatch.store.macros import MACROS
from peerwatch.store.snapshot import Snapshot
from peerwatch.store.wal import read_stream

BATCH = 1 << 16
"""Rows of a batch of results."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one query may use: seconds, megabytes of memory for working, and threads."""

    time_s: float = 60.0
    memory_mb: int = 1024
    threads: int = 2


class Query:
    """Answers queries over the archive at `path`. Each sees what was committed when it began."""

    def __init__(self, path: Path, bounds: Bounds | None = None) -> None:
        """Look whether it is an archive.

        Raises:
            ArchiveError: it is none, of a newer format, or has a path that DuckDB would take for a pattern.
        """
        self._path = path.absolute()  # not resolved: it may lead through /proc, past folders that cannot be entered
        self._bounds = bounds or Bounds()
        layout.read_meta(self._path)
        if re.search(r"[*?\[]", str(self._path)):
            raise ArchiveError(f"{self._path} cannot be queried: its path has one of * ? [; rename the directory")

    def table(self, sql: str) -> pa.Table:
        """The whole result of a SELECT.

        Raises:
            QueryError: it is refused or wrong, or took more than its bounds.
            ArchiveError: the archive cannot be read.
        """
        with self.reader(sql) as reader:
            return pa.Table.from_batches(list(reader), reader.schema)

    @contextmanager
    def reader(self, sql: str) -> Iterator[pa.RecordBatchReader]:
        """The result of a SELECT piece by piece, for as long as the context lasts; its time bound covers the reading.

        Raises:
            QueryError: as `table`, from reading too.
            ArchiveError: the archive cannot be read.
        """
        connection = self._connect()
        late = threading.Event()

        def interrupt() -> None:
            late.set()
            connection.interrupt()

        timer = threading.Timer(self._bounds.time_s, interrupt)
        taken: Snapshot | None = None
        try:
            taken = self._show(connection, check(connection, sql))
            timer.start()
            yield connection.sql(sql).to_arrow_reader(BATCH)
        except (duckdb.Error, pa.ArrowException) as error:
            raise self._explain(error, late=late.is_set()) from error
        finally:
            timer.cancel()
            connection.close()
            if taken is not None:
                taken.hold.release()

    def _explain(self, error: Exception, *, late: bool) -> QueryError:
        if late:
            return QueryError(f"the query took more than {self._bounds.time_s:g} s; narrow it down, as with a condition on ts")
        if isinstance(error, duckdb.OutOfMemoryException):
            return QueryError(f"the query needs more than {self._bounds.memory_mb} MB; narrow it down, or raise the bound")
        return QueryError(first_line(error))

    def _connect(self) -> duckdb.DuckDBPyConnection:
        """A database in memory that can read the tables' Parquet files and nothing else, and cannot be talked out of it."""
        connection = duckdb.connect(
            ":memory:",
            config={
                "threads": self._bounds.threads,
                "memory_limit": f"{self._bounds.memory_mb}MB",
                "temp_directory": "",
                "python_enable_replacements": False,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )
        for macro in MACROS:
            connection.execute(macro.create)
        folders = ", ".join(_literal(f"{self._path / name}/") for name in all_tables())
        connection.execute(f"SET allowed_directories = [{folders}]")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        return connection

    def _show(self, connection: duckdb.DuckDBPyConnection, names: frozenset[str]) -> Snapshot:
        """Make the views that a query names; all of them when it names something else, as one that asks which there are.

        Returns what they show.
        """
        tables = all_tables()
        needed = names if names <= tables.keys() else frozenset(tables)
        recorded_as = layout.read_meta(self._path).tables
        taken = snapshot.take(self._path, needed)
        for name in needed:
            uniform = recorded_as.get(name) == [list(tables[name].columns)]
            connection.register(f"_live_{name}", _live(tables[name], taken))
            connection.execute(f"CREATE VIEW {name} AS {_view(name, taken, uniform=uniform)}")
        return taken


def _live(table: type[Table], taken: Snapshot) -> pa.Table:
    """Committed rows of a table that are not in Parquet yet."""
    streams = (live.streams[table.name] for live in taken.live if table.name in live.streams)
    batches = [conform(batch, table) for stream in streams for batch in read_stream(stream)]
    return pa.Table.from_batches(batches, table.arrow)


def _view(name: str, taken: Snapshot, *, uniform: bool) -> str:
    """The query behind a view. The live rows, though they be none, give all columns their present type and order.

    Unless all files have the same columns, DuckDB must look into each of them, several times a query.
    """
    files = ", ".join(_literal(str(file.path)) for file in taken.sealed if file.table == name)
    live = f"SELECT * FROM _live_{name}"  # noqa: S608 - a table's declared name
    if not files:
        return live
    parquet = f"read_parquet([{files}], union_by_name = {not uniform}, hive_partitioning = false)"
    return f"{live} UNION ALL BY NAME SELECT * FROM {parquet}"  # noqa: S608 - literals, quoted


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
