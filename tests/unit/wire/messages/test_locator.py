"""`getheaders` and `getblocks`."""

from __future__ import annotations

import btclib.p2p as oracle
import pytest

from tests.reference.decode import dissected, raw
from tests.reference.reader import Row, compact_size

EXAMPLE = bytes.fromhex(
    "71110100"
    "02"
    "d39f608a7775b537729884d4e6633bb2105e55a16a14d31b0000000000000000"
    "5c3e6403d40837110a2e8afb602b1c01714bda7ce23bea0a0000000000000000"
    "0000000000000000000000000000000000000000000000000000000000000000"
)
"""A `getblocks` (developer.bitcoin.org, P2P network reference)."""
TIP, STOP = EXAMPLE[5:37], bytes(32)


def row(message: str, version: int, hashes: int, tip: bytes | None, stop: bytes | None) -> Row:
    return {"message": message, "version": version, "hashes": hashes, "tip": tip, "stop": stop}


def test_the_documented_example() -> None:
    """Both types have the layout, and give version, count, first hash and stop."""
    made = dissected(raw([("getblocks", EXAMPLE, len(EXAMPLE)), ("getheaders", EXAMPLE, len(EXAMPLE))]))
    assert made == [([row(kind, 70_001, 2, TIP, STOP)], None) for kind in ("getblocks", "getheaders")]


@pytest.mark.parametrize("count", [0, 1, 101])
@pytest.mark.parametrize("kind", ["getheaders", "getblocks"])
def test_what_btclib_writes(kind: str, count: int) -> None:
    """Locators of any allowed length are read as an independent implementation writes them, which shows hashes reversed."""
    locator, stop = [bytes([n]) + bytes(31) for n in range(count)], bytes(range(32))
    made = {"getheaders": oracle.GetHeaders, "getblocks": oracle.GetBlocks}[kind](70_016, locator, stop).serialize()
    tip = locator[0][::-1] if count else None
    assert dissected(raw([(kind, made, len(made))])) == [([row(kind, 70_016, count, tip, stop[::-1])], None)]


def test_too_many_hashes() -> None:
    """Of more than 101, as many are counted, and no stop is looked for behind them."""
    payload = EXAMPLE[:4] + compact_size(102) + TIP * 102 + STOP
    assert dissected(raw([("getheaders", payload, len(payload))])) == [
        ([row("getheaders", 70_001, 101, TIP, None)], "over_limit")
    ]


@pytest.mark.parametrize(
    ("end", "hashes", "tip", "stop"),
    [(4, 0, None, None), (36, 0, None, None), (37, 1, TIP, None), (68, 1, TIP, None), (69, 2, TIP, None), (100, 2, TIP, None)],
)
def test_sent_too_short(end: int, hashes: int, tip: bytes | None, stop: bytes | None) -> None:
    """Hashes that are wholly there count, and a row is made as soon as the version is there."""
    assert dissected(raw([("getheaders", EXAMPLE[:end], end)])) == [
        ([row("getheaders", 70_001, hashes, tip, stop)], "truncated"),
    ]
    assert dissected(raw([("getheaders", EXAMPLE[:3], 3)])) == [([], "truncated")]


@pytest.mark.parametrize("kept", [5, 36, 37, 68, 69, 100])
def test_kept_too_little(kept: int) -> None:
    """What was sent is counted whether it was kept or not; of what was not kept there is no value, and no error."""
    tip = TIP if kept >= 37 else None
    assert dissected(raw([("getheaders", EXAMPLE[:kept], len(EXAMPLE))])) == [([row("getheaders", 70_001, 2, tip, None)], None)]


def test_a_count_that_was_not_kept() -> None:
    """Nothing is known of the list then."""
    assert dissected(raw([("getheaders", EXAMPLE[:4], len(EXAMPLE))])) == [([row("getheaders", 70_001, 0, None, None)], None)]
