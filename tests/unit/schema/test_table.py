"""Tables as classes: what is derived from the declaration, and batches made of rows."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pytest

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Identity, Table, to_arrow

WHO = Identity("alice", 5, "capture")


class TwoWords(Table):
    """A table for these tests."""

    peer: Annotated[int, c.PEER]
    kind: Annotated[str | None, c.label("A kind.", nullable=True)]
    ip: Annotated[bytes | None, Column("An address.", pa.binary(4), Semantic.ADDRESS, nullable=True)]
    small: Annotated[int | None, Column("A small number.", pa.uint8(), Semantic.NUMBER, nullable=True)]
    note = "no column"


def build(**rows: Any) -> pa.RecordBatch:
    return TwoWords.build(WHO, {"ts": [1, 2], "seq": [3, 4], "peer": [5, 6], **rows})


def test_what_is_derived() -> None:
    """Name, documentation, columns in order and Arrow schema come from the class body; only annotated names are columns."""
    assert (TwoWords.name, TwoWords.doc) == ("two_words", "A table for these tests.")
    assert list(TwoWords.columns) == ["node", "session", "source", "ts", "seq", "peer", "kind", "ip", "small"]
    assert TwoWords.columns["peer"] is c.PEER
    assert TwoWords.arrow.names == list(TwoWords.columns)
    assert [f.nullable for f in TwoWords.arrow][-4:] == [False, True, True, True]


def test_the_identity_is_filled_in() -> None:
    """Who counted is in every row, and absent nullable columns are null."""
    identity = {"node": "alice", "session": 5, "source": "capture"}
    null = {"kind": None, "ip": None, "small": None}
    assert build().to_pylist() == [
        identity | {"ts": 1, "seq": 3, "peer": 5} | null,
        identity | {"ts": 2, "seq": 4, "peer": 6} | null,
    ]


def test_columns_come_in_any_form() -> None:
    """NumPy arrays, Arrow arrays of this or a smaller type, and lists with nulls make the same batch."""
    ip = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.uint8)
    batches = [
        build(kind=["a", None], ip=[b"\1\2\3\4", b"\5\6\7\10"], small=[7, 8]),
        build(kind=pa.array(["a", None]), ip=ip, small=np.array([7, 8], np.int64)),
        build(
            kind=pa.array(["a", None]).dictionary_encode(),
            ip=pa.array(list(map(bytes, ip)), pa.binary(4)),
            small=pa.array([7, 8]),
        ),
        build(kind=["a", None], ip=np.asfortranarray(ip), small=np.array([7, 8], np.uint8)),
    ]
    for batch in batches:
        batch.validate(full=True)
        assert batch.schema.equals(TwoWords.arrow)
        assert batch.to_pylist() == batches[0].to_pylist()


def test_a_table_without_rows() -> None:
    """Empty batches have the schema, made either way."""
    empty = TwoWords.build(WHO, {"ts": [], "seq": [], "peer": []})
    assert empty.num_rows == TwoWords.empty().num_rows == 0
    assert empty.schema.equals(TwoWords.arrow)
    assert TwoWords.empty().schema.equals(TwoWords.arrow)


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ({"ts": [1], "seq": [2], "peer": [3], "pear": [4]}, r"table two_words has no column \['pear'\]"),
        ({"ts": [1], "seq": [2]}, r"table two_words needs column \['peer'\]"),
        ({}, r"table two_words needs column \['peer', 'seq', 'ts'\]"),
    ],
)
def test_wrong_columns_are_named(rows: dict[str, Any], complaint: str) -> None:
    """A column that is not there or too many is said by table and name, `ts` too."""
    with pytest.raises(KeyError, match=complaint):
        TwoWords.build(WHO, rows)


@pytest.mark.parametrize("value", [300, -1])
def test_values_that_do_not_fit_are_refused(value: int) -> None:
    """Nothing is cut or wrapped around."""
    with pytest.raises(pa.ArrowInvalid):
        build(small=pa.array([0, value]))


@pytest.mark.parametrize("column", [[1], [1, 2, 3]])
def test_columns_of_different_length_are_refused(column: list[int]) -> None:
    """All columns have one value a row."""
    with pytest.raises(ValueError, match="length"):
        build(small=column)


@pytest.mark.parametrize(
    "ip", [np.zeros((1, 4), np.uint8), np.zeros((2, 3), np.uint8), np.zeros(8, np.uint8), np.zeros((2, 4), np.int64)]
)
def test_bytes_of_another_shape_are_refused(ip: np.ndarray) -> None:
    """Arrow would read memory beyond them."""
    with pytest.raises(ValueError, match="cannot be"):
        build(ip=ip)


@pytest.mark.parametrize("count", [0, 1, 8, 13])
def test_flags_are_packed(count: int) -> None:
    """An array of flags becomes a column of as many, or is refused; nothing is read beyond its end."""
    flags = np.arange(count) % 3 == 0
    assert to_arrow(flags, pa.bool_(), count).to_pylist() == flags.tolist()
    assert len(to_arrow(flags, pa.bool_(), count + 100)) == count  # the batch that it does not fit into says so


def test_values_of_the_very_type_are_not_copied() -> None:
    """A large column of numbers costs nothing to take over."""
    values = np.arange(1000)
    made = to_arrow(values, pa.int64(), 1000)
    assert made.buffers()[1].address == values.ctypes.data
    same = pa.array(["a"]).dictionary_encode()
    assert to_arrow(same, same.type, 1) is same


def test_identities_are_values() -> None:
    """Equal ones are the same key."""
    assert {Identity("a", 1, "b"): 1}[Identity("a", 1, "b")] == 1
