"""`sendtxrcncl`, and the three messages that fill the table `negotiation` together."""

from __future__ import annotations

import btclib.p2p as oracle
import pytest

from peerwatch.wire.dissect import dissect
from tests.reference.decode import IDENTITY, KEY, dissected, raw
from tests.reference.reader import Row

EXAMPLE = bytes.fromhex("010000008877665544332211")


def row(version: int, salt: int | None) -> Row:
    return {"message": "sendtxrcncl", "high_bandwidth": None, "version": version, "fee_rate": None, "salt": salt}


@pytest.mark.parametrize(("version", "salt"), [(1, 0x1122334455667788), (0, 0), (2**32 - 1, 2**64 - 1)])
def test_what_btclib_writes(version: int, salt: int) -> None:
    """Version and salt are read as an independent implementation writes them."""
    payload = oracle.SendTxRcncl(version, salt).serialize()
    assert dissected(raw([("sendtxrcncl", payload, 12)])) == [([row(version, salt)], None)]


def test_wrong_lengths() -> None:
    """The version stays when the salt is not there, whether it was not sent or not kept."""
    sent = [("sendtxrcncl", EXAMPLE[:kept], size) for kept, size in ((3, 3), (4, 4), (11, 11), (11, 12))]
    cut = row(1, None)
    assert dissected(raw(sent)) == [([], "truncated"), ([cut], "truncated"), ([cut], "truncated"), ([cut], None)]
    assert dissected(raw([("sendtxrcncl", EXAMPLE + b"\0", 13)])) == [([row(1, 0x1122334455667788)], "trailing")]


def test_three_messages_in_one_table() -> None:
    """Settings of all kinds stand in order of arrival, each with its own columns."""
    sent = [("sendtxrcncl", EXAMPLE, 12), ("feefilter", bytes(8), 8), ("sendcmpct", bytes(9), 9), ("feefilter", b"\1" * 8, 8)]
    table = dissect(IDENTITY, raw(sent), KEY).tables["negotiation"]
    assert table.column("message").to_pylist() == ["sendtxrcncl", "feefilter", "sendcmpct", "feefilter"]
    assert table.column("version").to_pylist() == [1, None, 0, None]
    assert table.column("fee_rate").to_pylist() == [None, 0, None, 0x0101010101010101]
    assert table.column("high_bandwidth").to_pylist() == [None, None, False, None]
    assert table.column("salt").to_pylist() == [0x1122334455667788, None, None, None]
