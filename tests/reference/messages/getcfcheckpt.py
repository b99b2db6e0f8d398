"""BIP 157: `getcfcheckpt`."""

from __future__ import annotations

from hypothesis import strategies as st

from peerwatch.schema.tables.block_filter import BlockFilter
from tests.reference.reader import Reader, Rows, filled, nulls

TYPES = ("getcfcheckpt",)


def decode(reader: Reader, kind: str) -> Rows:
    row = nulls(BlockFilter) | {"message": kind, "filter_type": reader.number("B")}
    yield from filled(row, hash=lambda: reader.take(32))


def payloads(_kind: str) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=33, max_size=33)
