"""`sendcmpct`."""

from __future__ import annotations

import btclib.p2p as oracle
import pytest

from tests.reference.decode import dissected, raw
from tests.reference.reader import Row

EXAMPLE = bytes.fromhex("010200000000000000")


def row(high_bandwidth: bool, version: int | None) -> Row:  # noqa: FBT001 - the value of a column
    return {
        "message": "sendcmpct",
        "high_bandwidth": high_bandwidth,
        "version": version,
        "fee_rate": None,
        "salt": None,
    }


@pytest.mark.parametrize("high_bandwidth", [False, True])
@pytest.mark.parametrize("version", [1, 2, 2**64 - 1])
def test_what_btclib_writes(high_bandwidth: bool, version: int) -> None:  # noqa: FBT001 - a parameter of the test
    """Flag and version are read as an independent implementation writes them."""
    payload = oracle.SendCmpct(high_bandwidth, version).serialize()
    assert dissected(raw([("sendcmpct", payload, 9)])) == [([row(high_bandwidth, version)], None)]


def test_any_flag_but_zero_is_true() -> None:
    """BIP 152 wants 0 or 1; Core takes every other byte for 1."""
    assert dissected(raw([("sendcmpct", b"\xff" + EXAMPLE[1:], 9)])) == [([row(True, 2)], None)]


def test_wrong_lengths() -> None:
    """The flag stays when the version is not there, whether it was not sent or not kept."""
    sent = [("sendcmpct", EXAMPLE[:kept], size) for kept, size in ((0, 0), (1, 1), (8, 8), (8, 9))]
    cut = row(True, None)
    assert dissected(raw(sent)) == [([], "truncated"), ([cut], "truncated"), ([cut], "truncated"), ([cut], None)]
    assert dissected(raw([("sendcmpct", EXAMPLE + b"\0", 10)])) == [([row(True, 2)], "trailing")]
