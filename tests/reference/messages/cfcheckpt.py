"""BIP 157: `cfcheckpt`."""

from __future__ import annotations

from hypothesis import strategies as st

from peerwatch.schema.tables.block_filter import BlockFilter
from tests.reference.reader import Reader, Rows, compact_size, filled, nulls

TYPES = ("cfcheckpt",)


def decode(reader: Reader, kind: str) -> Rows:
    row = nulls(BlockFilter) | {"message": kind, "filter_type": reader.number("B")}
    yield from filled(row, hash=lambda: reader.take(32), hashes=lambda: reader.body(reader.count(125_000), 32))


def payloads(_kind: str) -> st.SearchStrategy[bytes]:
    head = st.binary(min_size=33, max_size=33)
    count = st.integers(0, 4) | st.sampled_from([252, 253])
    return st.builds(lambda start, n: start + compact_size(n) + bytes(32 * n), head, count)
