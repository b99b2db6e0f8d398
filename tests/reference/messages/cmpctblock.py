"""`cmpctblock` (BIP 152)."""

from __future__ import annotations

from itertools import pairwise

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
        for before in range(found["prefilled"]):
            last += reader.length(MOST) + 1
            if last > 0xFFFF or last > found["short_ids"] + before:
                raise Stopped("index_overflow")
            transactions.append(transaction(reader))
        found |= sums(transactions)
        if found["transactions"] > 0xFFFF:
            raise Stopped("index_overflow")

    yield from row(kind, header(reader), fill)


def payloads(_kind: str) -> st.SearchStrategy[bytes]:
    return st.builds(
        lambda head, nonce, body: head + nonce + body,
        headers(),
        octets(8),
        (st.lists(octets(6), max_size=5) | st.just([bytes(6)] * 300)).flatmap(_lists),
    )


def _lists(short_ids: list[bytes]) -> st.SearchStrategy[bytes]:
    """Both lists: as many places between prefilled transactions, together, as there are short ids at most."""
    places = st.lists(st.integers(0, len(short_ids)), max_size=3).map(sorted)
    between = places.map(lambda at: [b - a for a, b in pairwise([0, *at])])
    prefilled = between.flatmap(lambda gaps: st.tuples(*(valid().map((compact_size(n)).__add__) for n in gaps)))
    return prefilled.map(lambda txs: listed(short_ids) + listed(list(txs)))
