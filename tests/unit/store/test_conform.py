"""Tests of bringing rows to the present schema."""

from __future__ import annotations

import pyarrow as pa
import pytest

from peerwatch.schema.registry import all_tables
from peerwatch.schema.tables.message import Message
from peerwatch.store.conform import conform


def test_rows_of_the_present_schema_pass_through(rows) -> None:
    """Without a copy."""
    batch = rows(0, 5)["message"]
    assert conform(batch, Message) is batch


def test_a_column_that_was_not_there_becomes_null(rows) -> None:
    """Rows of an older version have null in columns that came later."""
    batch = rows(0, 5)["message"]
    older = batch.drop_columns(["error"])
    brought = conform(older, Message)
    assert brought.schema.equals(Message.arrow)
    assert brought.column("error").null_count == 5
    assert brought.column("seq").equals(batch.column("seq"))


def test_a_column_of_a_newer_version_is_left_out(rows) -> None:
    """The rest reads as ever."""
    batch = rows(0, 5)["message"]
    newer = batch.append_column("later", pa.array(range(5)))
    assert conform(newer, Message).equals(batch)


def test_a_required_column_cannot_be_missing(rows) -> None:
    """No value can be made up for it."""
    with pytest.raises(ValueError, match="rows of message lack the column peer"):
        conform(rows(0, 5)["message"].drop_columns(["peer"]), Message)


def test_a_table_of_pieces_becomes_one_batch(rows) -> None:
    """Dictionaries of the pieces, which differ, become one; plain text becomes a dictionary."""
    one, other = rows(0, 2)["message"], rows(3, 7)["message"]
    joined = conform(pa.Table.from_batches([one, other]), Message)
    assert joined.column("type").to_pylist() == [*one.column("type").to_pylist(), *other.column("type").to_pylist()]
    plain = one.set_column(one.schema.get_field_index("type"), "type", one.column("type").cast(pa.utf8()))
    assert conform(plain, Message).column("type").to_pylist() == one.column("type").to_pylist()


@pytest.mark.parametrize("name", all_tables())
def test_no_rows_are_rows_of_any_table(name: str) -> None:
    """A table of no pieces is an empty batch."""
    table = all_tables()[name]
    assert conform(pa.Table.from_batches([], table.arrow), table).equals(table.empty())
