"""`blocktxn` (BIP 152)."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.reference.blocks import row
from tests.reference.reader import Reader, Row, Rows
from tests.reference.transactions import listed, many, octets, sums, transaction, valid

TYPES = ("blocktxn",)


def decode(reader: Reader, kind: str) -> Rows:
    def fill(found: Row) -> None:
        found["transactions"] = many(reader, 10)
        found |= sums([transaction(reader) for _ in range(found["transactions"])])

    yield from row(kind, {"hash": reader.take(32)}, fill)


def payloads(_kind: str) -> st.SearchStrategy[bytes]:
    return st.builds(lambda block, txs: block + listed(txs), octets(32), st.lists(valid(), max_size=3))
