"""BIP 37: a bloom filter."""

from __future__ import annotations

from hypothesis import strategies as st

from peerwatch.schema.tables.bloom_filter import BloomFilter
from tests.reference.reader import Reader, Rows, filled, nulls, string

TYPES = ("filterload",)


def decode(reader: Reader, kind: str) -> Rows:
    row = nulls(BloomFilter) | {"message": kind, "bytes": reader.body(reader.length(36_000))}
    yield from filled(
        row,
        functions=lambda: allowed(reader, reader.number("<I")),
        tweak=lambda: reader.number("<I"),
        flags=lambda: reader.number("B"),
    )


def allowed(reader: Reader, functions: int) -> int:
    if functions > 50:
        reader.note("over_limit")
    return functions


def payloads(_kind: str) -> st.SearchStrategy[bytes]:
    filter_ = st.binary(max_size=40) | st.sampled_from([252, 253]).map(bytes)
    return st.builds(
        lambda bits, functions, rest: string(bits) + functions.to_bytes(4, "little") + rest,
        filter_,
        st.integers(0, 50),
        st.binary(min_size=5, max_size=5),
    )
