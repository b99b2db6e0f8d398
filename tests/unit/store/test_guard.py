"""Tests of what a query may be."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from peerwatch.store.errors import QueryError
from peerwatch.store.guard import check, first_line


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    made = duckdb.connect(":memory:")
    yield made
    made.close()


@pytest.mark.parametrize(
    "sql",
    [
        "COPY message TO '/tmp/x'", "COPY (SELECT 1) TO 'x.csv'", "ATTACH 'x.db'", "DETACH x", "INSTALL httpfs", "LOAD httpfs",
        "SET threads = 1", "RESET threads", "PRAGMA version", "PRAGMA database_list", "CALL enable_logging()",
        "CREATE TABLE t (a INT)",
        "CREATE VIEW v AS SELECT 1", "DROP VIEW message", "INSERT INTO message VALUES (1)", "UPDATE message SET seq = 1",
        "DELETE FROM message", "ALTER TABLE message ADD COLUMN a INT", "EXPORT DATABASE 'x'",
        "IMPORT DATABASE 'x'", "BEGIN", "VACUUM",
        "CHECKPOINT", "PREPARE p AS SELECT 1", "EXECUTE p", "USE x", "EXPLAIN ANALYZE SELECT 1", "SELECT 1; SELECT 2",
        "SELECT 1; COPY message TO 'x'", "", ";", "-- nothing", "PIVOT message ON type USING count(*)",
    ],
)  # fmt: skip
def test_what_is_not_one_select_is_refused(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """In one line that says so."""
    with pytest.raises(QueryError, match="only a single SELECT can be run here") as caught:
        check(connection, sql)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("function", [
    "read_csv('/etc/passwd')", "read_text('/etc/passwd')", "read_blob('/etc/passwd')", "read_parquet('x')", "parquet_scan('x')",
    "glob('/*')", "query('SELECT 1')", "query_table('message')", "json_execute_serialized_sql('{}')", "enable_logging()",
    "enable_profiling(save_location := '/tmp/x')", "duckdb_settings()", "duckdb_secrets()", "pragma_version()", "checkpoint()",
    "sniff_csv('/etc/passwd')", "arrow_scan(1, 2, 3)", "read_duckdb('x')", "which_secret('a', 's3')", "parquet_metadata('x')",
])  # fmt: skip
@pytest.mark.parametrize(
    "place", ["SELECT * FROM {}", "SELECT (SELECT 1 FROM {} LIMIT 1)", "WITH x AS (FROM {}) SELECT * FROM x"]
)
def test_functions_that_reach_outside_are_refused(connection: duckdb.DuckDBPyConnection, function: str, place: str) -> None:
    """As a table, wherever in the query."""
    with pytest.raises(QueryError, match=r"\(\) cannot be used here"):
        check(connection, place.format(function))


@pytest.mark.parametrize(("sql", "names"), [
    ("SELECT 1", set()),
    ("FROM message", {"message"}),
    ("FROM Message m JOIN main.address a USING (seq) WHERE m.seq IN (FROM ping SELECT seq)", {"message", "address", "ping"}),
    ("WITH x AS (SELECT * FROM ping) SELECT * FROM x", {"ping", "x"}),
    ("SELECT * FROM range(3)", set()),
    ("SELECT unnest([1, 2])", set()),
    ("VALUES (1), (2)", set()),
    ("DESCRIBE message", {"message"}),
    ("SHOW message", {"message"}),
    ("SHOW TABLES", {"tables"}),
    ("SELECT table_name FROM information_schema.tables", {"tables"}),
    ("SUMMARIZE FROM ping", {"ping"}),
    ("(SELECT seq FROM ping) UNION (SELECT seq FROM loss)", {"ping", "loss"}),
    ("SELECT list_transform([1], lambda x: x + (SELECT count(*) FROM rate))", {"rate"}),
])  # fmt: skip
def test_the_tables_of_a_query_are_known(connection: duckdb.DuckDBPyConnection, sql: str, names: set[str]) -> None:
    """Wherever they stand; names of the query's own are among them."""
    assert check(connection, sql) == names


def test_a_mistake_is_said_in_one_bounded_line(connection: duckdb.DuckDBPyConnection) -> None:
    """Without the excerpt that DuckDB draws below it."""
    with pytest.raises(QueryError, match=r'^Parser Error: syntax error at or near "selec"$'):
        check(connection, "selec 1")
    with pytest.raises(QueryError) as caught:
        check(connection, f"SELECT {'x' * 5000} FROM (")
    assert len(str(caught.value)) <= 300
    assert first_line(ValueError("one\n\nLINE 1: two")) == "one"


def test_deep_nesting_is_no_crash(connection: duckdb.DuckDBPyConnection) -> None:
    """However many brackets: fine, or refused in one line, never a RecursionError."""
    assert check(connection, "SELECT " + "(" * 100 + "1" + ")" * 100) == frozenset()
    assert check(connection, " UNION ALL ".join(["SELECT 1"] * 200)) == frozenset()
    with pytest.raises(QueryError, match=r"^[^\n]*$"):
        check(connection, "SELECT " + "(" * 20_000 + "1" + ")" * 20_000)
