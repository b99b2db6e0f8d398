"""`getblocktxn`."""

from __future__ import annotations

import pytest
from btclib.p2p.compact_blocks import GetBlockTxn

from peerwatch.wire.messages.getblocktxn import GetblocktxnDissector
from tests.reference.decode import Result, dissected, raw
from tests.reference.known import shown
from tests.reference.reader import compact_size
from tests.wireproof.examples import captured

BLOCK = bytes(range(32))


def one(kept: bytes, size: int | None = None) -> Result:
    return dissected(raw([("getblocktxn", kept, len(kept) if size is None else size)]))[0]


def test_captured() -> None:
    """What btclib says of what a node sent and was sent."""
    payloads = [p for kind, p in captured() if kind == "getblocktxn"]
    assert len(payloads) == 35
    for payload, ((row,), error) in zip(payloads, dissected(raw([("getblocktxn", p, len(p)) for p in payloads])), strict=True):
        found = GetBlockTxn.parse(payload)
        assert (row["message"], error) == ("getblocktxn", None)
        assert (shown(row["hash"]), row["transactions"]) == (found.block_hash.hex(), len(found.indexes))


@pytest.mark.parametrize(
    ("between", "error"),
    [
        ([], None),
        ([0xFFFF], None),
        ([0x10000], "index_overflow"),
        ([0xFFFE, 0], None),
        ([0xFFFF, 0], "index_overflow"),
        ([0x02000001], "over_limit"),
        ([0] * 0x10000, None),
        ([0] * 0x10001, "index_overflow"),
    ],
)
def test_indexes(between: list[int], error: str | None) -> None:
    """They go up to 16 bits, each one more than the one before at least; how many were asked for is told all the same."""
    payload = BLOCK + compact_size(len(between)) + b"".join(compact_size(n) for n in between)
    (row,), found = one(payload)
    assert (row["hash"], row["transactions"], found) == (BLOCK, len(between), error)
    assert (row["weight"], row["time"]) == (None, None)


@pytest.mark.parametrize("between", [[0] * 0x10000, [0] * 0x10001, [253] * 258, [0] * 0x10000 + [2**63]])
def test_needs_is_enough(between: list[int]) -> None:
    """The longest request that is right is kept whole, and what is wrong with a longer one is told."""
    payload = BLOCK + compact_size(len(between)) + b"".join(compact_size(n) for n in between)
    assert one(payload[: GetblocktxnDissector.needs], len(payload)) == one(payload)


@pytest.mark.parametrize(
    ("kept", "size", "transactions", "error"),
    [
        (BLOCK, None, None, "truncated"),
        (BLOCK + b"\2\1", None, None, "truncated"),
        (BLOCK + b"\2\xfd\xfd", None, 2, "truncated"),
        (BLOCK + b"\1\xfd\1\0", None, 1, "non_canonical"),
        (BLOCK + b"\2\1", 35, 2, None),
        (BLOCK + b"\3\1", 35, None, "truncated"),
        (BLOCK + b"\1\1.", None, 1, "trailing"),
    ],
)
def test_malformed_and_cut(kept: bytes, size: int | None, transactions: int | None, error: str | None) -> None:
    """The hash stays; the count, if it is a proper one that can be."""
    (row,), found = one(kept, size)
    assert (row["hash"], row["transactions"], found) == (BLOCK, transactions, error)
