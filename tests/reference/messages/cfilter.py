"""BIP 157: `cfilter`."""

from __future__ import annotations

from hypothesis import strategies as st

from peerwatch.schema.tables.block_filter import BlockFilter
from tests.reference.reader import Reader, Rows, filled, nulls, string

TYPES = ("cfilter",)


def decode(reader: Reader, kind: str) -> Rows:
    row = nulls(BlockFilter) | {"message": kind, "filter_type": reader.number("B")}
    yield from filled(row, hash=lambda: reader.take(32), bytes=lambda: reader.body(reader.length(4_000_000)))


def payloads(_kind: str) -> st.SearchStrategy[bytes]:
    head = st.binary(min_size=33, max_size=33)
    filter_ = st.binary(max_size=40) | st.sampled_from([252, 253]).map(bytes)
    return st.builds(lambda start, f: start + string(f), head, filter_)
