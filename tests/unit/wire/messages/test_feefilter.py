"""`feefilter`."""

from __future__ import annotations

import btclib.p2p as oracle
import pytest

from tests.reference.decode import dissected, raw
from tests.reference.reader import Row

EXAMPLE = bytes.fromhex("7cbd000000000000")
"""48 508 sat/kvB (developer.bitcoin.org, P2P network reference)."""


def row(fee_rate: int) -> Row:
    return {"message": "feefilter", "high_bandwidth": None, "version": None, "fee_rate": fee_rate, "salt": None}


def test_the_documented_example() -> None:
    """It gives its fee rate."""
    assert dissected(raw([("feefilter", EXAMPLE, 8)])) == [([row(48_508)], None)]


@pytest.mark.parametrize("fee_rate", [0, 1, 1000, 21_000_000 * 10**8])
def test_what_btclib_writes(fee_rate: int) -> None:
    """Every amount is read as an independent implementation writes it."""
    assert dissected(raw([("feefilter", oracle.FeeFilter(fee_rate).serialize(), 8)])) == [([row(fee_rate)], None)]


def test_negative_fee_rates_are_seen_as_such() -> None:
    """A peer may send one; it is no error of the layout."""
    assert dissected(raw([("feefilter", b"\xff" * 8, 8)])) == [([row(-1)], None)]


def test_wrong_lengths() -> None:
    """One byte too few leaves no row, one too many leaves it; what we cut is no error."""
    made = dissected(raw([("feefilter", EXAMPLE[:7], 7), ("feefilter", EXAMPLE + b"\0", 9), ("feefilter", EXAMPLE[:7], 8)]))
    assert made == [([], "truncated"), ([row(48_508)], "trailing"), ([], None)]
