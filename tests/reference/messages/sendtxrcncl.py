"""BIP 330."""

from __future__ import annotations

from hypothesis import strategies as st

from peerwatch.schema.tables.negotiation import Negotiation
from tests.reference.reader import Reader, Rows, filled, nulls

TYPES = ("sendtxrcncl",)


def decode(reader: Reader, kind: str) -> Rows:
    row = nulls(Negotiation) | {"message": kind, "version": reader.number("<I")}
    yield from filled(row, salt=lambda: reader.number("<Q"))


def payloads(_kind: str) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=12, max_size=12)
