"""What a query may be: one SELECT over the tables, calling no function that reaches outside of them.

DuckDB's own locks (`query`) keep a query from files, network and settings. This keeps it from everything that is not a query, and
says so in a line that helps.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import duckdb

from peerwatch.store.errors import QueryError

FUNCTIONS = frozenset({"generate_series", "json_each", "json_tree", "range", "unnest"})
"""Functions that may stand for a table. DuckDB has some eighty, to read files, change settings or run text as SQL."""

_FIRST_LINE_MAX = 300


def check(connection: duckdb.DuckDBPyConnection, sql: str) -> frozenset[str]:
    """Make sure that `sql` is one SELECT (or FROM, WITH, VALUES, DESCRIBE, SUMMARIZE, SHOW); return the names of tables in it.

    Names that the query itself defines are among them, and so is what SHOW asks for.

    Raises:
        QueryError: it is something else, or no SQL.
    """
    try:
        kinds = [statement.type for statement in connection.extract_statements(sql)]
    except duckdb.Error as error:
        raise QueryError(first_line(error)) from error
    if kinds != [duckdb.StatementType.SELECT]:
        what = ", ".join(kind.name for kind in kinds) or "nothing"
        raise QueryError(f"only a single SELECT can be run here, not {what}")
    [(text,)] = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()
    tree = json.loads(text)
    if tree["error"]:
        raise QueryError(f"only a single SELECT can be run here: {tree['error_message']}")
    nodes = list(_nodes(tree))
    called = {n["function"]["function_name"] for n in nodes if n.get("type") == "TABLE_FUNCTION"}
    if refused := called - FUNCTIONS:
        raise QueryError(f"{min(refused)}() cannot be used here; as a table, only {', '.join(sorted(FUNCTIONS))} can")
    names = {n["table_name"].lower() for n in nodes if n.get("type") == "BASE_TABLE"}
    shown = {n["table_name"].strip('"').lower() for n in nodes if n.get("type") == "SHOW_REF"} - {""}
    return frozenset(names | shown)


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object within a JSON value. Iterative: a query may nest deeper than Python's stack."""
    left = [tree]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            yield value
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)


def first_line(error: Exception) -> str:
    """What DuckDB says, in one bounded line; of a damaged file what to do about it, too."""
    text = str(error).strip().split("\n\n")[0].split("\nLINE ")[0]
    line = " ".join(text.split())
    if line.startswith("Invalid Input Error") and (damaged := re.search(r"""['"](/[^'"]+\.parquet)['"]""", line)):
        return f"{damaged[1]} cannot be read ({line.split(':')[0]}); move it out of the archive"
    return line[:_FIRST_LINE_MAX]
