"""BIP 157: `getcfilters` and `getcfheaders`."""

from __future__ import annotations

from hypothesis import strategies as st

from peerwatch.schema.tables.block_filter import BlockFilter
from tests.reference.reader import Reader, Rows, filled, nulls

TYPES = ("getcfilters", "getcfheaders")


def decode(reader: Reader, kind: str) -> Rows:
    row = nulls(BlockFilter) | {"message": kind, "filter_type": reader.number("B")}
    yield from filled(row, start_height=lambda: reader.number("<I"), hash=lambda: reader.take(32))


def payloads(_kind: str) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=37, max_size=37)
