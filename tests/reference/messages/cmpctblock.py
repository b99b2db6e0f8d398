"""`cmpctblock` (BIP 152)."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.reference.blocks import header, headers, row
from tests.reference.reader import Reader, Row, Rows, Stopped, compact_size
from tests.reference.transactions import MOST, listed, many, octets, sums, transaction, valid

TYPES = ("cmpctblock",)


def decode(reader: Reader, kind: str) -> Rows:
    def fill(found: Row) -> None:
        reader.take(8)
        found["short_ids"] = many(reader, 6)
        reader.take(6 * found["short_ids"])
        found["prefilled"] = many(reader, 11)
        found["transactions"] = found["short_ids"] + found["prefilled"]
        transactions = []
        last = -1
        for _ in range(found["prefilled"]):
            last += reader.length(MOST) + 1
            if last > 0xFFFF:
                raise Stopped("index_overflow")
            transactions.append(transaction(reader))
        found |= sums(transactions)
        if found["transactions"] > 0xFFFF:
            raise Stopped("index_overflow")

    yield from row(kind, header(reader), fill)


def payloads(_kind: str) -> st.SearchStrategy[bytes]:
    between = st.integers(0, 300) | st.just(20_000)
    prefilled = st.builds(lambda n, tx: compact_size(n) + tx, between, valid())
    return st.builds(
        lambda head, nonce, short_ids, txs: head + nonce + listed(short_ids) + listed(txs),
        headers(),
        octets(8),
        st.lists(octets(6), max_size=5) | st.just([bytes(6)] * 300),
        st.lists(prefilled, max_size=3),
    )
