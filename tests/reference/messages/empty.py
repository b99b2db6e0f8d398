"""No payload."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.reference.reader import Reader, Rows

TYPES = ("verack", "sendaddrv2", "getaddr", "sendheaders", "mempool", "filterclear", "wtxidrelay", "reqsketchext")


def decode(_reader: Reader, _kind: str) -> Rows:
    yield from ()


def payloads(_kind: str) -> st.SearchStrategy[bytes]:
    return st.just(b"")
