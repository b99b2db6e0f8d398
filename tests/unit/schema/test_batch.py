"""NumPy views of columns."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pyarrow as pa
import pytest

from peerwatch.schema import columns as c
from peerwatch.schema.batch import SECOND, Batch, Rows
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Identity, Table

WHO = Identity("alice", 5, "capture")


class Mixed(Table):
    """One column of each storage type."""

    kind: Annotated[str | None, c.label("A kind.", nullable=True)]
    text: Annotated[str | None, c.text("A text.", nullable=True)]
    number: Annotated[int | None, c.count("A number.", nullable=True)]
    share: Annotated[float | None, Column("A share.", pa.float64(), Semantic.NUMBER, nullable=True)]
    yes: Annotated[bool | None, c.flag("A flag.", nullable=True)]
    ip: Annotated[bytes | None, Column("An address.", pa.binary(4), Semantic.ADDRESS, nullable=True)]
    key: Annotated[bytes | None, Column("A key.", pa.binary(), Semantic.ADDRESS, nullable=True)]


def rows(count: int = 4) -> Rows:
    """Every second value is null."""
    n = range(count)
    batch = Mixed.build(
        WHO,
        {
            "ts": [SECOND * i for i in n],
            "seq": list(n),
            "kind": [None if i % 2 else f"k{i % 3}" for i in n],
            "text": [None if i % 2 else f"t{i}" for i in n],
            "number": [None if i % 2 else i + 1 for i in n],
            "share": [None if i % 2 else i / 2 for i in n],
            "yes": [None if i % 2 else True for i in n],
            "ip": [None if i % 2 else bytes([i] * 4) for i in n],
            "key": [None if i % 2 else bytes([i]) for i in n],
        },
    )
    return Rows(batch)


def expected(count: int, first: int = 0) -> dict[str, list[object]]:
    """What the columns of `rows` read as."""
    n = range(first, count)
    return {
        "ts": [SECOND * i for i in n],
        "kind": [None if i % 2 else f"k{i % 3}" for i in n],
        "text": [None if i % 2 else f"t{i}" for i in n],
        "number": [0 if i % 2 else i + 1 for i in n],
        "share": [0.0 if i % 2 else i / 2 for i in n],
        "yes": [not i % 2 for i in n],
        "key": [None if i % 2 else bytes([i]) for i in n],
    }


@pytest.mark.parametrize("count", [0, 1, 9])
def test_every_column_as_numpy(count: int) -> None:
    """Texts are objects with None, null numbers read as 0 and null flags as false; validity tells them apart."""
    view = rows(count)
    assert len(view) == count
    for name, values in expected(count).items():
        assert view[name].tolist() == values, name
        assert view.valid(name).tolist() == [name == "ts" or i % 2 == 0 for i in range(count)]
    assert view["number"].dtype == np.int64
    assert view["share"].dtype == np.float64
    assert view["yes"].dtype == bool


@pytest.mark.parametrize("count", [0, 1, 9])
def test_bytes_of_fixed_size(count: int) -> None:
    """They are a row of bytes each."""
    ip = rows(count)["ip"]
    assert (ip.shape, ip.dtype) == ((count, 4), np.uint8)
    assert ip[::2].tolist() == [[i] * 4 for i in range(0, count, 2)]


@pytest.mark.parametrize(("first", "stop"), [(0, 9), (3, 7), (5, 5), (8, 9)])
def test_slices(first: int, stop: int) -> None:
    """A slice reads as that part of the whole, in every column, fixed-size bytes too."""
    part = rows(9).slice(first, stop)
    assert len(part) == stop - first
    for name, values in expected(stop, first).items():
        assert part[name].tolist() == values
    assert part["ip"].tolist() == rows(9)["ip"][first:stop].tolist()
    assert part.where("kind", "k0").tolist() == rows(9).where("kind", "k0")[first:stop].tolist()


def test_codes() -> None:
    """Labels as numbers and the values that they stand for; null is -1."""
    codes, values = rows(6).codes("kind")
    assert [values[i] if i >= 0 else None for i in codes] == [None if i % 2 else f"k{i % 3}" for i in range(6)]
    assert rows(0).codes("kind")[0].tolist() == []


def test_where() -> None:
    """The rows of one label; of one that does not occur there are none."""
    assert rows(4).where("kind", "k2").tolist() == [False, False, True, False]
    assert rows(4).where("kind", "else").tolist() == [False] * 4


def test_columns_are_made_once() -> None:
    """Asking again gives the same array."""
    view = rows()
    assert view["text"] is view["text"]


def test_all_null() -> None:
    """A column without any value can be read."""
    view = Rows(Mixed.build(WHO, {"ts": [1, 2], "seq": [1, 2]}))
    assert [view[name].tolist() for name in ("kind", "text", "number", "yes")] == [[None] * 2, [None] * 2, [0, 0], [False] * 2]
    assert view["ip"].shape == (2, 4)
    assert view.codes("kind") is not None
    assert not view.where("kind", "k0").any()


def test_a_batch_is_what_it_says() -> None:
    """Rows with the events they come from; it cannot be changed."""
    batch = Batch(WHO, 5, {"mixed": rows().batch}, np.array([1]), {"mixed": np.zeros(4, int)})
    assert (batch.identity, batch.watermark) == (WHO, 5)
    with pytest.raises(AttributeError):
        batch.watermark = 6  # type: ignore[misc]
