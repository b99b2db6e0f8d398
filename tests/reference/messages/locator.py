"""`getheaders` and `getblocks`: version, hashes, hash to stop at."""

from __future__ import annotations

from hypothesis import strategies as st

from peerwatch.schema.tables.locator import Locator
from tests.reference.reader import Reader, Row, Rows, Stopped, compact_size, nulls

TYPES = ("getheaders", "getblocks")


def decode(reader: Reader, kind: str) -> Rows:
    row = nulls(Locator) | {"message": kind, "version": reader.number("<I"), "hashes": 0}
    try:
        read_hashes(reader, row)
    except Stopped:
        yield row
        raise
    yield row


def read_hashes(reader: Reader, row: Row) -> None:
    count = reader.count(101)
    tip = reader.kept[reader.at : reader.at + 32]
    row["hashes"] = reader.body(count, 32)
    if row["hashes"] and len(tip) == 32:
        row["tip"] = tip
    if reader.noted == "over_limit":
        raise Stopped(None)
    row["stop"] = reader.take(32)


def payloads(_kind: str) -> st.SearchStrategy[bytes]:
    hash_ = st.binary(min_size=32, max_size=32)
    hashes = st.lists(hash_, max_size=4) | st.just([bytes(32)] * 101)
    return st.builds(
        lambda version, have, stop: version + compact_size(len(have)) + b"".join(have) + stop,
        st.binary(min_size=4, max_size=4),
        hashes,
        hash_,
    )
