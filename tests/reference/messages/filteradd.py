"""BIP 37: an element of a bloom filter."""

from __future__ import annotations

from hypothesis import strategies as st

from peerwatch.schema.tables.bloom_filter import BloomFilter
from tests.reference.reader import Reader, Rows, nulls, string

TYPES = ("filteradd",)


def decode(reader: Reader, kind: str) -> Rows:
    yield nulls(BloomFilter) | {"message": kind, "bytes": reader.body(reader.length(520))}


def payloads(_kind: str) -> st.SearchStrategy[bytes]:
    element = st.binary(max_size=40) | st.sampled_from([252, 253, 520]).map(bytes)
    return element.map(string)
