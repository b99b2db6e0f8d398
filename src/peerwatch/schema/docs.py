"""The reference of a table, derived from its declaration: what `peerwatch tables` prints and the docs hold."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from peerwatch.schema.table import Level, Table


def type_name(kind: pa.DataType) -> str:
    """The storage type as SQL users know it."""
    return "text" if pa.types.is_dictionary(kind) or pa.types.is_string(kind) else str(kind)


def facts(table: type[Table]) -> dict[str, Any]:
    """A table's declaration as JSON-able values."""
    return {
        "table": table.name,
        "doc": table.doc,
        "level": table.level.value,
        "columns": [
            {
                "name": name,
                "type": type_name(column.arrow),
                "semantic": column.semantic.value,
                "unit": column.unit,
                "nullable": column.nullable,
                "untrusted": column.untrusted,
                "doc": column.doc,
            }
            for name, column in table.columns.items()
        ],
    }


def _level(table: type[Table]) -> str:
    if table.level is Level.LIGHT:
        return "Recorded at every level"
    return f"Recorded at level `{table.level}`" + ("" if table.level is Level.FULL else " and above")


def markdown(table: type[Table]) -> str:
    """A table's page section in Markdown."""
    lines = [
        f"## {table.name}",
        "",
        table.doc,
        "",
        f"{_level(table)}.",
        "",
        "| column | type | unit | | meaning |",
        "|---|---|---|---|---|",
    ]
    for column in facts(table)["columns"]:
        marks = ", ".join(m for m in ("nullable", "untrusted") if column[m])
        lines.append(f"| {column['name']} | {column['type']} | {column['unit'] or ''} | {marks} | {column['doc']} |")
    return "\n".join(lines) + "\n"
