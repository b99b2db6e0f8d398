"""BIP 31."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.reference.reader import Reader, Rows

TYPES = ("ping", "pong")


def decode(reader: Reader, kind: str) -> Rows:
    if kind == "ping" and reader.ended:
        yield {"pong": False, "nonce": None}
        return
    yield {"pong": kind == "pong", "nonce": reader.number("<Q")}


def payloads(kind: str) -> st.SearchStrategy[bytes]:
    nonce = st.binary(min_size=8, max_size=8)
    return nonce | st.just(b"") if kind == "ping" else nonce
