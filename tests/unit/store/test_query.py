"""Tests of SQL over an archive."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from peerwatch.schema.registry import all_tables
from peerwatch.schema.table import Identity
from peerwatch.store.archive import Archive
from peerwatch.store.errors import ArchiveError, QueryError
from peerwatch.store.query import Bounds, Query


@pytest.fixture
def filled(root: Path, who, rows) -> Path:
    """100 sealed messages and 50 that are only written ahead."""
    with Archive.create_or_open(root) as archive:
        archive.writer(who).append(rows(0, 100), {})
    os.environ.pop("NEVER", None)
    archive = Archive.create_or_open(root)
    archive.writer(who).append(rows(100, 50), {})
    return root


def one(path: Path, sql: str) -> object:
    """The single value of a result."""
    ((value,),) = (row.values() for row in Query(path).table(sql).to_pylist())
    return value


def test_sealed_rows_and_those_of_this_second_are_one_table(filled: Path, rows) -> None:
    """With the values that were recorded, labels as text."""
    found = Query(filled).table("SELECT * FROM message ORDER BY seq")
    whole = rows(0, 150)["message"]
    assert found.schema.names == whole.schema.names
    for name in whole.schema.names:
        assert found[name].to_pylist() == whole.column(name).to_pylist()
    assert one(filled, "SELECT count(*) FROM ping") == 15


def test_a_query_sees_what_was_committed_when_it_began(root: Path, who, rows) -> None:
    """The same Query, asked again, sees what has come since."""
    with Archive.create_or_open(root) as archive:
        writer = archive.writer(who)
        query = Query(root)
        for i in range(3):
            assert query.table("SELECT count(*)::INT AS n FROM message")["n"].to_pylist() == [i * 10]
            writer.append(rows(i * 10, 10), {})


def test_an_empty_archive_has_all_tables(root: Path) -> None:
    """Without rows, with their columns and types."""
    shown = Query(root).table("SHOW TABLES")["name"].to_pylist()
    assert set(all_tables()) <= set(shown)
    for name, table in all_tables().items():
        found = Query(root).table(f"SELECT * FROM {name}")
        assert (found.num_rows, found.schema.names) == (0, table.arrow.names)
    types = {r["column_name"]: r["column_type"] for r in Query(root).table("DESCRIBE version").to_pylist()}
    assert (types["services"], types["user_agent"], types["receiver_ip"], types["relay"]) == (
        "UBIGINT",
        "VARCHAR",
        "BLOB",
        "BOOLEAN",
    )


def test_types_do_not_depend_on_where_rows_lie(filled: Path, root: Path) -> None:
    """Only written ahead, only sealed, or both: the same result schema."""
    both = Query(filled).table("SELECT * FROM message").schema
    shutil.rmtree(filled / "message")
    assert Query(root).table("SELECT * FROM message").schema == both
    shutil.rmtree(filled / "wal")
    (filled / "wal").mkdir()
    assert Query(root).table("SELECT * FROM message").schema == both


def test_an_archive_of_an_older_schema_is_read(filled: Path) -> None:
    """A column that was added since is null in the files from before; one that a newer version added is there as well."""
    meta = json.loads((filled / "archive.json").read_text())
    meta["tables"]["message"].insert(0, [name for name in meta["tables"]["message"][0] if name != "error"])
    (filled / "archive.json").write_text(json.dumps(meta))
    (path,) = (filled / "message").rglob("*.parquet")
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table.drop_columns(["error"]).append_column("later", pa.array([7] * 100)), path, store_schema=False)
    found = Query(filled).table("SELECT error, later FROM message ORDER BY seq")
    assert found["error"].to_pylist()[:100] == [None] * 100
    assert found["error"].to_pylist()[102] == "trailing"
    assert found["later"].to_pylist() == [7] * 100 + [None] * 50


def test_nothing_but_the_tables_can_be_reached(filled: Path, tmp_path: Path) -> None:
    """Not by a file's name in place of a table's, not the key, not by writing; the archive stays as it was."""
    (tmp_path / "outside.csv").write_text("secret\n1\n")
    pq.write_table(pa.table({"secret": [1]}), tmp_path / "outside.parquet")
    before = {p: p.stat().st_mtime_ns for p in filled.rglob("*")}
    parquet = next((filled / "message").rglob("*.parquet"))
    for sql in [
        "SELECT * FROM '/etc/passwd'",
        f"SELECT * FROM '{tmp_path}/outside.csv'",
        f"SELECT * FROM '{tmp_path}/outside.parquet'",
        f"SELECT * FROM '{filled}/archive.json'",
        f"SELECT * FROM '{filled}/inventory.key'",
        f"SELECT * FROM '{filled}/message/../inventory.key'",
        f"SELECT * FROM '{filled}/wal/x.csv'",
        f"SELECT * FROM read_text('{filled}/inventory.key')",
        f"COPY message TO '{filled}/message/out.csv'",
        f"COPY message TO '{tmp_path}/out.csv'",
        f"ATTACH '{filled}/message/x.db'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "PRAGMA enable_profiling",
        "WITH gone AS (DELETE FROM message RETURNING *) FROM gone",
        "SELECT getenv('HOME')",
        f"SELECT * FROM read_parquet('{parquet}')",
        "SELECT * FROM query('SELECT 1')",
    ]:
        with pytest.raises(QueryError) as caught:
            Query(filled).table(sql)
        assert "\n" not in str(caught.value)
    assert {p: p.stat().st_mtime_ns for p in filled.rglob("*")} == before
    assert not (tmp_path / "out.csv").exists()


def test_variables_of_the_program_are_no_tables(filled: Path) -> None:
    """DuckDB would look for them in the caller's frames."""
    hidden = pa.table({"secret": [1]})
    with pytest.raises(QueryError, match="hidden does not exist"):
        Query(filled).table("SELECT * FROM hidden")
    assert hidden.num_rows == 1


def test_mistakes_are_one_line(filled: Path) -> None:
    """With what DuckDB suggests."""
    for sql, said in [
        ("SELECT * FROM mesage", 'Table with name mesage does not exist! Did you mean "message"'),
        ("SELECT sice FROM message", 'Referenced column "sice" not found'),
        ("SELECT 'a'::INT FROM message", "Could not convert"),
    ]:
        with pytest.raises(QueryError, match=said) as caught:
            Query(filled).table(sql)
        assert "\n" not in str(caught.value)


def test_a_query_that_takes_too_long_is_ended(filled: Path) -> None:
    """Whatever it does, and soon after its time."""
    endless = "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range % 7 = b.range % 11"
    began = time.monotonic()
    with pytest.raises(QueryError, match=r"took more than 0\.3 s"):
        Query(filled, Bounds(time_s=0.3)).table(endless)
    assert time.monotonic() - began < 20


def test_a_query_that_needs_too_much_memory_is_ended(filled: Path) -> None:
    """And nothing is spilled onto the disk."""
    hungry = "SELECT count(*) FROM (SELECT DISTINCT range, md5(range::VARCHAR) FROM range(20000000))"
    with pytest.raises(QueryError, match="needs more than 64 MB"):
        Query(filled, Bounds(memory_mb=64)).table(hungry)


def test_large_results_come_in_pieces(filled: Path) -> None:
    """The reader gives batches, and may be left early."""
    with Query(filled).reader("SELECT * FROM range(1000000)") as reader:
        assert next(reader).num_rows < 200_000
    with Query(filled).reader("SELECT * FROM range(1000000)") as reader:
        assert sum(batch.num_rows for batch in reader) == 1_000_000


def test_several_queries_run_at_once(filled: Path) -> None:
    """One Query, two readers, interleaved."""
    query = Query(filled)
    with query.reader("SELECT seq FROM message ORDER BY seq") as one_, query.reader("SELECT seq FROM ping ORDER BY seq") as other:
        assert next(other).num_rows == 15
        assert next(one_).num_rows == 150


def test_paths_with_quotes_are_read_and_patterns_refused(tmp_path: Path, who, rows) -> None:
    """A path is never part of the SQL, and DuckDB would take * ? [ for a pattern that other archives fit."""
    root = tmp_path / 'it\'s; an "archive"'
    with Archive.create_or_open(root) as archive:
        archive.writer(who).append(rows(0, 10), {})
    assert one(root, "SELECT count(*) FROM message") == 10
    for odd in ("a*", "a?", "a[b]"):
        Archive.create_or_open(tmp_path / odd).close()
        with pytest.raises(ArchiveError, match="cannot be queried"):
            Query(tmp_path / odd)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    """Before any query."""
    with pytest.raises(ArchiveError, match="is not an archive"):
        Query(tmp_path)


def test_a_damaged_file_is_one_line(filled: Path) -> None:
    """It names the file."""
    path = next((filled / "message").rglob("*.parquet"))
    path.write_bytes(b"PAR1" + b"\0" * 100)
    with pytest.raises(QueryError, match=rf"{path.name} cannot be read .*; move it out of the archive") as caught:
        Query(filled).table("SELECT * FROM message")
    assert "\n" not in str(caught.value)


def test_nodes_are_told_apart(root: Path, who, rows) -> None:
    """By the column, whatever the directory is called."""
    other = Identity("node.b-2_", who.session, who.source)
    with Archive.create_or_open(root) as archive:
        archive.writer(who).append(rows(0, 10), {})
        archive.writer(other).append(rows(0, 30, other), {})
    found = Query(root).table("SELECT node, count(*)::INT AS n FROM message GROUP BY node ORDER BY n").to_pylist()
    assert found == [{"node": "node-a", "n": 10}, {"node": "node.b-2_", "n": 30}]
