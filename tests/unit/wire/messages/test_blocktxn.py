"""`blocktxn`."""

from __future__ import annotations

import pytest
from btclib.p2p.compact_blocks import BlockTxn

from tests.reference.decode import Result, dissected, raw
from tests.reference.known import TRANSACTIONS, shown
from tests.reference.reader import compact_size
from tests.wireproof.examples import captured

BLOCK = bytes(range(32))
TXS = b"".join(known.whole for known in TRANSACTIONS)


def one(kept: bytes, size: int | None = None) -> Result:
    return dissected(raw([("blocktxn", kept, len(kept) if size is None else size)]))[0]


def test_sums() -> None:
    """What the transactions add up to, without anything of the header."""
    (row,), error = one(BLOCK + b"\3" + TXS)
    assert error is None
    assert (row["message"], row["hash"], row["transactions"]) == ("blocktxn", BLOCK, 3)
    assert (row["inputs"], row["outputs"], row["weight"]) == (4, 6, 1100 + 677 + 1042)
    assert [name for name, value in row.items() if value is None] == [
        "version", "previous", "merkle_root", "time", "bits", "nonce", "prefilled", "short_ids", "hashes",
    ]  # fmt: skip


def test_captured() -> None:
    """What btclib says of what a node sent and was sent."""
    payloads = [p for kind, p in captured() if kind == "blocktxn"]
    assert len(payloads) == 29
    for payload, ((row,), error) in zip(payloads, dissected(raw([("blocktxn", p, len(p)) for p in payloads])), strict=True):
        found = BlockTxn.parse(payload)
        txs = found.transactions
        assert error is None
        assert shown(row["hash"]) == found.block_hash.hex()
        assert (row["transactions"], row["weight"]) == (len(txs), sum(t.weight for t in txs))
        assert (row["inputs"], row["outputs"]) == (sum(len(t.vin) for t in txs), sum(len(t.vout) for t in txs))


@pytest.mark.parametrize(
    ("payload", "size", "transactions", "error"),
    [
        (BLOCK, None, None, "truncated"),
        (BLOCK + b"\3" + TXS[:-1], None, 3, "truncated"),
        (BLOCK + b"\4" + TXS, None, 4, "truncated"),
        (BLOCK + compact_size(2**64 - 1) + TXS, None, None, "over_limit"),
        (BLOCK + b"\3" + TXS[:8], 33 + len(TXS), 3, None),
        (BLOCK + b"\3", 62, None, "truncated"),
    ],
)
def test_malformed_and_cut(payload: bytes, size: int | None, transactions: int | None, error: str | None) -> None:
    """The hash stays; the count, if it is a proper one that can be; sums only of what is whole."""
    (row,), found = one(payload, size)
    assert (row["hash"], row["transactions"], found) == (BLOCK, transactions, error)
    assert (row["inputs"], row["outputs"], row["weight"]) == (None, None, None)


def test_without_hash() -> None:
    """No row."""
    assert one(BLOCK[:31]) == ([], "truncated")
