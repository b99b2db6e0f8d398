"""BIP 133."""

from __future__ import annotations

from hypothesis import strategies as st

from peerwatch.schema.tables.negotiation import Negotiation
from tests.reference.reader import Reader, Rows, nulls

TYPES = ("feefilter",)


def decode(reader: Reader, kind: str) -> Rows:
    yield nulls(Negotiation) | {"message": kind, "fee_rate": reader.number("<q")}


def payloads(_kind: str) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=8, max_size=8)
