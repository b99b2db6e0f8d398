"""`merkleblock` (BIP 37)."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.reference.blocks import header, headers, row
from tests.reference.reader import Reader, Row, Rows, compact_size
from tests.reference.transactions import listed, many, octets

TYPES = ("merkleblock",)


def decode(reader: Reader, kind: str) -> Rows:
    def fill(found: Row) -> None:
        found["transactions"] = reader.number("<I")
        found["hashes"] = many(reader, 32)
        reader.take(32 * found["hashes"])
        reader.take(many(reader, 1))

    yield from row(kind, header(reader), fill)


def payloads(_kind: str) -> st.SearchStrategy[bytes]:
    flags = (st.binary(max_size=5) | st.just(bytes(254))).map(lambda b: compact_size(len(b)) + b)
    return st.builds(
        lambda head, total, hashes, bits: head + total + listed(hashes) + bits,
        headers(),
        octets(4),
        st.lists(octets(32), max_size=4),
        flags,
    )
