"""BIP 152."""

from __future__ import annotations

from hypothesis import strategies as st

from peerwatch.schema.tables.negotiation import Negotiation
from tests.reference.reader import Reader, Rows, filled, nulls

TYPES = ("sendcmpct",)


def decode(reader: Reader, kind: str) -> Rows:
    row = nulls(Negotiation) | {"message": kind, "high_bandwidth": reader.number("B") != 0}
    yield from filled(row, version=lambda: reader.number("<Q"))


def payloads(_kind: str) -> st.SearchStrategy[bytes]:
    return st.builds(lambda announce, version: bytes([announce]) + version, st.integers(0, 1), st.binary(min_size=8, max_size=8))
