"""`merkleblock`."""

from __future__ import annotations

import pytest
from btclib.p2p.merkleblock import MerkleBlock

from peerwatch.wire.messages.merkleblock import MerkleblockDissector
from tests.reference.decode import Result, dissected, raw
from tests.reference.known import GENESIS, GENESIS_HASH, shown
from tests.reference.reader import compact_size
from tests.wireproof.examples import captured

HEAD = GENESIS[:80]
TOTAL = (7).to_bytes(4, "little")
HASHES = b"\3" + bytes(96)
WHOLE = HEAD + TOTAL + HASHES + b"\1\x1d"


def one(kept: bytes, size: int | None = None) -> Result:
    return dissected(raw([("merkleblock", kept, len(kept) if size is None else size)]))[0]


def test_a_proof() -> None:
    """The header, how many transactions the block has, and how many hashes the proof."""
    (row,), error = one(WHOLE)
    assert (shown(row["hash"]), row["message"], row["transactions"], row["hashes"]) == (GENESIS_HASH, "merkleblock", 7, 3)
    assert (row["weight"], row["prefilled"], error) == (None, None, None)


def test_captured() -> None:
    """What btclib says of what a node sent."""
    payloads = [p for kind, p in captured() if kind == "merkleblock"]
    assert len(payloads) == 4
    for payload in payloads:
        found = MerkleBlock.parse(payload)
        (row,), error = one(payload)
        assert error is None
        assert shown(row["hash"]) == found.header.hash.hex()
        assert (row["transactions"], row["hashes"]) == (found.tree.n_transactions, len(found.tree.hashes))


@pytest.mark.parametrize(
    ("kept", "size", "transactions", "hashes", "error"),
    [
        (HEAD, None, None, None, "truncated"),
        (HEAD + TOTAL, None, 7, None, "truncated"),
        (HEAD + TOTAL + HASHES[:-1], None, 7, None, "truncated"),
        (HEAD + TOTAL + HASHES, None, 7, 3, "truncated"),
        (HEAD + TOTAL + HASHES + b"\2.", None, 7, 3, "truncated"),
        (HEAD + TOTAL + HASHES + compact_size(2**63), None, 7, 3, "over_limit"),
        (HEAD + TOTAL + compact_size(2**63), None, 7, None, "over_limit"),
        (WHOLE + b".", None, 7, 3, "trailing"),
        (WHOLE[: MerkleblockDissector.needs_sent], len(WHOLE), 7, 3, None),
        (WHOLE[: MerkleblockDissector.needs_sent], 180, 7, None, "truncated"),
    ],
)
def test_malformed_and_cut(
    kept: bytes, size: int | None, transactions: int | None, hashes: int | None, error: str | None
) -> None:
    """The header stays, and counts as far as they were read and can be."""
    (row,), found = one(kept, size)
    assert (row["transactions"], row["hashes"], found) == (transactions, hashes, error)
