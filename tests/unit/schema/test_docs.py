"""The reference that is derived from tables."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from peerwatch.schema.docs import facts, markdown, type_name
from peerwatch.schema.registry import all_tables
from peerwatch.schema.tables.message import Message


def test_facts_are_the_declaration() -> None:
    """Everything that is declared of a table and its columns, as values that JSON can hold."""
    found = facts(Message)
    assert json.loads(json.dumps(found)) == found
    assert (found["table"], found["doc"]) == ("message", Message.doc)
    assert [c["name"] for c in found["columns"]] == list(Message.columns)
    size = next(c for c in found["columns"] if c["name"] == "size")
    assert size == {
        "name": "size", "type": "uint32", "semantic": "bytes", "unit": "B", "nullable": False, "untrusted": False,
        "doc": "Payload bytes on the wire.",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "name"),
    [(pa.dictionary(pa.int16(), pa.utf8()), "text"), (pa.utf8(), "text"), (pa.int64(), "int64"), (pa.bool_(), "bool")],
)
def test_types_are_those_of_sql(kind: pa.DataType, name: str) -> None:
    """How a text is stored does not matter to who asks."""
    assert type_name(kind) == name


@pytest.mark.parametrize("table", all_tables().values(), ids=lambda t: t.name)
def test_markdown_has_every_column(table: type) -> None:
    """One line a column, with its marks, and nothing that breaks the table."""
    lines = markdown(table).splitlines()
    assert lines[0] == f"## {table.name}"
    body = [line for line in lines if line.startswith("| ") and not line.startswith("| column")]
    assert [line.split("|")[1].strip() for line in body] == list(table.columns)
    assert {line.count("|") for line in body} == {6}
    for line, column in zip(body, table.columns.values(), strict=True):
        assert column.doc in line
        assert ("untrusted" in line) >= column.untrusted
        assert ("nullable" in line) >= column.nullable
