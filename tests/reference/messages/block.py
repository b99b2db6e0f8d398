"""`block`."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.reference.blocks import header, headers, row
from tests.reference.reader import Reader, Row, Rows
from tests.reference.transactions import listed, many, sums, transaction, valid

TYPES = ("block",)


def decode(reader: Reader, kind: str) -> Rows:
    def fill(found: Row) -> None:
        found["transactions"] = many(reader, 10)
        head = reader.at
        found |= sums([transaction(reader) for _ in range(found["transactions"])])
        found["weight"] += 4 * head

    yield from row(kind, header(reader), fill)


def payloads(_kind: str) -> st.SearchStrategy[bytes]:
    return st.builds(lambda head, txs: head + listed(txs), headers(), st.lists(valid(), max_size=3))
