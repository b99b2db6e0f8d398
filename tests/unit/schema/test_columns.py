"""The columns that tables are made of."""

from __future__ import annotations

import pyarrow as pa
import pytest

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic


def test_labels_are_trusted() -> None:
    """A label is one of a closed set; what peers choose is text, however few values it has, so it can never become a label."""
    assert c.label("A.").semantic is Semantic.LABEL
    chosen = c.label("A.", untrusted=True)
    assert (chosen.semantic, chosen.untrusted) == (Semantic.TEXT, True)
    assert c.label("A.").arrow == chosen.arrow == pa.dictionary(pa.int16(), pa.utf8())


@pytest.mark.parametrize(
    ("column", "arrow", "semantic", "unit"),
    [
        (c.text("A."), pa.utf8(), Semantic.TEXT, None),
        (c.flag("A."), pa.bool_(), Semantic.FLAG, None),
        (c.count("A."), pa.int64(), Semantic.COUNT, "1"),
        (c.count("A.", pa.int32(), unit="coins"), pa.int32(), Semantic.COUNT, "coins"),
        (c.octets("A."), pa.int64(), Semantic.BYTES, "B"),
        (c.octets("A.", pa.uint32()), pa.uint32(), Semantic.BYTES, "B"),
        (c.time_ns("A."), pa.int64(), Semantic.TIME, "ns"),
        (c.hash32("A."), pa.binary(32), Semantic.HASH, None),
    ],
)
def test_what_each_kind_is(column: Column, arrow: pa.DataType, semantic: Semantic, unit: str | None) -> None:
    """Storage, meaning and unit follow from the kind; nothing is nullable unless that is said."""
    assert (column.doc, column.arrow, column.semantic, column.unit, column.nullable) == ("A.", arrow, semantic, unit, False)


@pytest.mark.parametrize("make", [c.label, c.text, c.flag, c.count, c.octets, c.time_ns, c.hash32])
def test_each_kind_can_be_nullable(make: object) -> None:
    """Where a value may be missing it is said so."""
    assert make("A.", nullable=True).nullable  # type: ignore[operator]


def test_hashes_come_from_peers() -> None:
    """A hash is never taken for one of our own values."""
    assert c.hash32("A.").untrusted


def test_shared_columns() -> None:
    """Identity and peer columns are never null and not chosen by peers."""
    for column in (c.NODE, c.SESSION, c.SOURCE, c.TS, c.SEQ, c.IDX, c.PEER, c.INBOUND):
        assert not column.nullable
        assert not column.untrusted
