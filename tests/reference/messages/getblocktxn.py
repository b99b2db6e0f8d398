"""`getblocktxn` (BIP 152)."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.reference.blocks import row
from tests.reference.reader import Reader, Row, Rows, Stopped, compact_size
from tests.reference.transactions import MOST, listed, many, octets

TYPES = ("getblocktxn",)


def decode(reader: Reader, kind: str) -> Rows:
    def fill(found: Row) -> None:
        found["transactions"] = many(reader, 1)
        last = -1
        for _ in range(found["transactions"]):
            last += reader.length(MOST) + 1
            if last > 0xFFFF:
                raise Stopped("index_overflow")

    yield from row(kind, {"hash": reader.take(32)}, fill)


def payloads(_kind: str) -> st.SearchStrategy[bytes]:
    between = st.integers(0, 300) | st.just(13_000)
    return st.builds(lambda block, ns: block + listed([compact_size(n) for n in ns]), octets(32), st.lists(between, max_size=5))
