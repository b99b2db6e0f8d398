"""What every table promises, tried on every one that is registered."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerwatch.schema.batch import Rows
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.registry import all_tables
from peerwatch.schema.table import Identity, Table

WHO = Identity("alice", 1_700_000_000_000_000_000, "capture")
FILLED = {"node", "session", "source"}

each = pytest.mark.parametrize("table", all_tables().values(), ids=lambda t: t.name)


def values(column: Column) -> st.SearchStrategy[Any]:
    """Values of a column's type, from end to end."""
    kind = column.arrow
    if pa.types.is_dictionary(kind) or pa.types.is_string(kind):
        plain: st.SearchStrategy[Any] = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    elif pa.types.is_boolean(kind):
        plain = st.booleans()
    elif pa.types.is_integer(kind):
        limits = np.iinfo(kind.to_pandas_dtype())
        plain = st.integers(int(limits.min), int(limits.max))
    elif pa.types.is_floating(kind):
        plain = st.floats(allow_nan=False)
    elif pa.types.is_fixed_size_binary(kind):
        plain = st.binary(min_size=kind.byte_width, max_size=kind.byte_width)
    else:
        plain = st.binary(max_size=8)
    return plain | st.none() if column.nullable else plain


def columns(table: type[Table]) -> st.SearchStrategy[dict[str, list[Any]]]:
    """Rows of a table, by column."""
    own = {name: values(column) for name, column in table.columns.items() if name not in FILLED}
    row = st.fixed_dictionaries(own)
    return st.lists(row, max_size=5).map(lambda rows: {name: [r[name] for r in rows] for name in own})


@each
def test_is_documented(table: type[Table]) -> None:
    """The table has a sentence, and so has every column, with a full stop; of a label it may be the list of its values."""
    assert re.fullmatch(r"[A-Z`].*\.", table.doc.splitlines()[0])
    for name, column in table.columns.items():
        assert re.fullmatch(r"[A-Z0-9`].+\." if column.semantic is not Semantic.LABEL else r"\S.+\.", column.doc), name
        assert "|" not in column.doc


@each
def test_columns_say_what_their_values_mean(table: type[Table]) -> None:
    """Names are plain; a number has a unit or a meaning that needs none; sizes, times, durations and amounts always have one."""
    unitless = {Semantic.SEQUENCE, Semantic.PEER, Semantic.HASH, Semantic.NUMBER}
    for name, column in table.columns.items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        if pa.types.is_integer(column.arrow):
            assert column.unit or column.semantic in unitless, name
        if column.semantic in (Semantic.BYTES, Semantic.TIME, Semantic.DURATION, Semantic.AMOUNT, Semantic.COUNT):
            assert column.unit, name
        if column.semantic is Semantic.FLAG:
            assert pa.types.is_boolean(column.arrow), name


@each
def test_what_peers_choose_is_no_label(table: type[Table]) -> None:
    """Labels are closed sets and may name a metric; so nothing untrusted is one, and every label is stored as a dictionary."""
    for name, column in table.columns.items():
        if column.untrusted:
            assert column.semantic is not Semantic.LABEL, name
        if column.semantic is Semantic.LABEL:
            assert pa.types.is_dictionary(column.arrow), name


@each
def test_begins_with_the_row_identity(table: type[Table]) -> None:
    """(node, session, source, ts, seq) comes first and is never null."""
    assert list(table.columns)[:5] == ["node", "session", "source", "ts", "seq"]
    assert not any(table.columns[name].nullable for name in list(table.columns)[:5])
    assert table.arrow.names == list(table.columns)


@each
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_rows_come_back_as_they_were_given(table: type[Table], data: st.DataObject) -> None:
    """Any values of the columns' types make a valid batch of the declared schema, and read the same as Python and as NumPy."""
    given_rows = data.draw(columns(table))
    batch = table.build(WHO, given_rows)
    batch.validate(full=True)
    assert batch.schema.equals(table.arrow)
    rows = Rows(batch)
    assert len(rows) == len(given_rows["ts"])
    assert set(rows["node"].tolist()) <= {WHO.node}
    for name, expected in given_rows.items():
        assert batch.column(name).to_pylist() == expected
        assert rows.valid(name).tolist() == [v is not None for v in expected]
        kind = table.columns[name].arrow
        for read, value in zip(rows[name].tolist(), expected, strict=True):
            if pa.types.is_fixed_size_binary(kind):
                assert value is None or bytes(read) == value
            elif value is None and (pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_floating(kind)):
                assert read == 0
            else:
                assert read == value


@each
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_nullable_columns_may_be_left_out(table: type[Table], data: st.DataObject) -> None:
    """They are null then; any other one that is left out, or one too many, is refused by name."""
    rows = data.draw(columns(table))
    optional = {name for name, column in table.columns.items() if column.nullable}
    batch = table.build(WHO, {name: v for name, v in rows.items() if name not in optional})
    batch.validate(full=True)
    for name in optional:
        assert batch.column(name).null_count == len(rows["ts"])
    for name in rows.keys() - optional:
        with pytest.raises(KeyError, match=rf"table {table.name} needs column \['{name}'\]"):
            table.build(WHO, {n: v for n, v in rows.items() if n != name})
    with pytest.raises(KeyError, match=rf"table {table.name} has no column \['nonsense'\]"):
        table.build(WHO, rows | {"nonsense": rows["ts"]})


@each
def test_can_be_empty(table: type[Table]) -> None:
    """No rows have the same schema, and every column of them can be read."""
    empty = table.empty()
    assert empty.schema.equals(table.arrow)
    assert {len(Rows(empty)[name]) for name in table.columns} == {0}
