"""Block headers."""

from __future__ import annotations

import struct

import numpy as np

from peerwatch.wire.block_header import BITS_AT, HEADER_BYTES, PREVIOUS_AT, TIME_AT, header_hashes, read_header
from peerwatch.wire.layout import Cursor
from peerwatch.wire.raw import PAD
from tests.reference.known import GENESIS, GENESIS_HASH, GENESIS_TXID, shown


def test_the_genesis_block() -> None:
    """Its header says what everybody knows; one that is not wholly there says nothing."""
    buf = np.frombuffer(GENESIS[:80] + GENESIS[:79] + bytes(PAD), np.uint8)
    c = Cursor(buf, np.array([0, 80]), np.array([80, 159]), np.array([80, 159]))
    columns = {name: column.to_pylist() for name, column in read_header(c).items()}
    assert [column[1] for column in columns.values()] == [None] * 7
    assert shown(columns["hash"][0]) == GENESIS_HASH
    assert shown(columns["merkle_root"][0]) == GENESIS_TXID
    assert {name: columns[name][0] for name in ("version", "previous", "time", "bits", "nonce")} == {
        "version": 1,
        "previous": bytes(32),
        "time": 1_231_006_505,
        "bits": 0x1D00FFFF,
        "nonce": 2_083_236_893,
    }
    assert c.live.tolist() == [True, False]
    assert c.pos.tolist()[0] == 80


def test_hashes() -> None:
    """Of headers anywhere in a buffer, also of none."""
    buf = np.frombuffer(b"." + GENESIS[:80] + GENESIS[:80], np.uint8)
    hashes = header_hashes(buf, np.array([1, 81]))
    assert [shown(h.tobytes()) for h in hashes] == [GENESIS_HASH] * 2
    assert header_hashes(buf, np.zeros(0, np.int64)).shape == (0, 32)


def test_where_fields_are() -> None:
    """The offsets are those of the layout."""
    assert [struct.calcsize(f"<{before}") for before in ("i", "i64s", "i64sI", "i64sIII")] == [
        PREVIOUS_AT, TIME_AT, BITS_AT, HEADER_BYTES,
    ]  # fmt: skip
