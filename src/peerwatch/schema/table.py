"""A table is a class with annotated columns, and that class is the only declaration of it.

    class Ping(Table):
        '''One `ping` or `pong`.'''
        peer: Annotated[int, PEER]
        nonce: Annotated[int | None, Column(...)]

Every table starts with the row identity (`node, session, source, ts, seq`); a subclass adds its own columns after it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, ClassVar, get_args, get_origin, get_type_hints

import numpy as np
import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column


@dataclass(frozen=True, slots=True)
class Identity:
    """Who counted: rows of one (node, session, source) share one sequence."""

    node: str
    session: int
    source: str


class Level(StrEnum):
    """How much is recorded; each level has the tables of those before it, too."""

    LIGHT = "light"
    """What is summed up or rare: roll-ups, connections, losses, incidents."""
    STANDARD = "standard"
    """A row for every message and for what is in it, but no bodies, and of inventory a keyed hash."""
    FULL = "full"
    """Payloads as they were, and whole ids."""


class Table:
    """Base of every table: the row identity, and what derives from the declared columns."""

    node: Annotated[str, c.NODE]
    session: Annotated[int, c.SESSION]
    source: Annotated[str, c.SOURCE]
    ts: Annotated[int, c.TS]
    seq: Annotated[int, c.SEQ]

    level: ClassVar[Level] = Level.STANDARD
    """From which level on its rows are recorded; what is recorded at every level is also kept for longer."""
    is_state: ClassVar[bool] = False
    """Whether its rows tell how the node stands, looked at from time to time, and not what happened between it and its peers."""
    name: ClassVar[str]
    doc: ClassVar[str]
    columns: ClassVar[Mapping[str, Column]]
    arrow: ClassVar[pa.Schema]

    def __init_subclass__(cls) -> None:
        """Derive name, columns and Arrow schema from the class body."""
        super().__init_subclass__()
        cls.name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()
        cls.doc = (cls.__doc__ or "").strip()
        cls.columns = {
            name: next(a for a in get_args(hint)[1:] if isinstance(a, Column))
            for name, hint in get_type_hints(cls, include_extras=True).items()
            if get_origin(hint) is Annotated
        }
        cls.arrow = pa.schema([pa.field(n, col.arrow, nullable=col.nullable) for n, col in cls.columns.items()])

    @classmethod
    def build(cls, identity: Identity, rows: Mapping[str, Any]) -> pa.RecordBatch:
        """Make a record batch of `rows` (a column each: NumPy array, Arrow array or list, of equal length).

        Columns of the identity are filled in; a nullable column that is absent becomes null.

        Raises:
            KeyError: a column that the table does not have, or a required one that is absent.
            ValueError: a column that is shorter or longer than the others.
        """
        if unknown := rows.keys() - cls.columns.keys():
            raise KeyError(f"table {cls.name} has no column {sorted(unknown)}")
        filled = {"node", "session", "source"}
        if absent := {n for n, col in cls.columns.items() if n not in rows and not col.nullable} - filled:
            raise KeyError(f"table {cls.name} needs column {sorted(absent)}")
        length = len(rows["ts"])
        given: dict[str, Any] = {
            **rows,
            "session": np.full(length, identity.session, np.int64),
            "node": _constant(identity.node, length),
            "source": _constant(identity.source, length),
        }
        arrays = [to_arrow(given.get(n), col.arrow, length) for n, col in cls.columns.items()]
        return pa.RecordBatch.from_arrays(arrays, schema=cls.arrow)

    @classmethod
    def empty(cls) -> pa.RecordBatch:
        """A batch of no rows."""
        return pa.RecordBatch.from_pylist([], schema=cls.arrow)


def _constant(value: str, length: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(length, np.int16)), dictionary((value,)))


@lru_cache(maxsize=256)
def dictionary(values: tuple[str, ...]) -> pa.Array:
    """The values of a dictionary column. Kept, because making an array of a list makes Arrow look for pandas every time."""
    return pa.array(values, pa.utf8())


def to_arrow(values: Any, kind: pa.DataType, length: int) -> pa.Array:
    """A column's values (NumPy array, Arrow array, list, or None for all null) as an Arrow array of type `kind`.

    A NumPy array of the very type is not copied; fixed-size binary is given as uint8 of shape (length, width).

    Raises:
        ValueError: fixed-size binary of another shape, which Arrow would read beyond its end.
    """
    if values is None:
        return pa.nulls(length, kind)
    if isinstance(values, pa.Array):
        return values if values.type == kind else values.cast(kind)
    if isinstance(values, np.ndarray) and pa.types.is_fixed_size_binary(kind):
        flat = np.ascontiguousarray(values)
        if flat.dtype != np.uint8 or flat.shape != (length, kind.byte_width):
            raise ValueError(f"{length} values of {kind} cannot be {flat.dtype} of shape {flat.shape}")
        return pa.Array.from_buffers(kind, length, [None, pa.py_buffer(flat)])
    if isinstance(values, np.ndarray) and values.dtype == bool and values.shape == (length,) and pa.types.is_boolean(kind):
        return pa.Array.from_buffers(kind, length, [None, pa.py_buffer(np.packbits(values, bitorder="little"))])
    if pa.types.is_dictionary(kind):
        return pa.array(values, pa.utf8()).dictionary_encode().cast(kind)
    return pa.array(values, kind)
