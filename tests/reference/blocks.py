"""Block headers (BIP 152 and Core, primitives/block.h), and rows of `block_relay`, which several messages fill."""

from __future__ import annotations

import struct
from collections.abc import Callable

from hypothesis import strategies as st

from peerwatch.schema.tables.block_relay import BlockRelay
from tests.reference.decode import CALLERS
from tests.reference.reader import Reader, Row, Rows, Stopped
from tests.reference.transactions import octets, sha256d

LAYOUT = struct.Struct("<i32s32sIII")
NAMES = ("version", "previous", "merkle_root", "time", "bits", "nonce")


def header(reader: Reader) -> Row:
    data = reader.take(80)
    return {"hash": sha256d(data), **dict(zip(NAMES, LAYOUT.unpack(data), strict=True))}


def row(kind: str, first: Row, fill: Callable[[Row], None]) -> Rows:
    """The one row of a message: what was read first, and what `fill` puts in until it stops."""
    found = dict.fromkeys(name for name in BlockRelay.columns if name not in CALLERS) | {"message": kind} | first
    try:
        fill(found)
    except Stopped:
        yield found
        raise
    yield found


def headers() -> st.SearchStrategy[bytes]:
    return octets(80)
