"""BIP 61."""

from __future__ import annotations

from hypothesis import strategies as st

from peerwatch.schema.tables.rejection import Rejection
from peerwatch.wire.raw import printable
from tests.reference.reader import Reader, Row, Rows, Stopped, nulls, string

TYPES = ("reject",)


def decode(reader: Reader, _kind: str) -> Rows:
    refused = reader.take(reader.length(12))
    row = nulls(Rejection) | {"message": printable(refused), "extra": 0}
    try:
        read_why(reader, row, refused)
    except Stopped:
        yield row
        raise
    yield row


def read_why(reader: Reader, row: Row, refused: bytes) -> None:
    row["code"] = reader.number("B")
    row["reason"] = printable(reader.take(reader.length(111)))
    row["extra"] = reader.size - reader.at
    if refused in (b"tx", b"block") and not reader.ended:
        row["hash"] = reader.take(32)


def payloads(_kind: str) -> st.SearchStrategy[bytes]:
    reason = st.binary(max_size=20) | st.just(bytes(111))
    plain = st.builds(lambda refused, code, why: string(refused) + code + string(why), st.binary(max_size=12), byte(), reason)
    hashed = st.builds(
        lambda refused, code, why, hash_: string(refused) + code + string(why) + hash_,
        st.sampled_from([b"tx", b"block"]),
        byte(),
        reason,
        st.just(b"") | st.binary(min_size=32, max_size=32),
    )
    return plain | hashed


def byte() -> st.SearchStrategy[bytes]:
    return st.binary(min_size=1, max_size=1)
