"""`block`."""

from __future__ import annotations

import pytest
from btclib.block.block import Block

from peerwatch.wire.dissector import MAX_PROTOCOL_MESSAGE_LENGTH
from peerwatch.wire.messages.block import BlockDissector
from tests.reference.decode import Result, dissected, raw
from tests.reference.known import GENESIS, GENESIS_HASH, PAYMENT, TRANSACTIONS, shown
from tests.reference.reader import compact_size
from tests.wireproof.examples import captured

HEAD = GENESIS[:80]
TX = PAYMENT.whole


def one(kept: bytes, size: int | None = None) -> Result:
    return dissected(raw([("block", kept, len(kept) if size is None else size)]))[0]


def test_the_genesis_block() -> None:
    """One transaction of one input and one output; it weighs four times its size."""
    (row,), error = one(GENESIS)
    assert error is None
    assert (shown(row["hash"]), row["message"], row["time"]) == (GENESIS_HASH, "block", 1_231_006_505)
    assert (row["transactions"], row["inputs"], row["outputs"], row["weight"]) == (1, 1, 1, 4 * 285)
    assert (row["prefilled"], row["short_ids"], row["hashes"]) == (None, None, None)


def test_captured_blocks() -> None:
    """What btclib says of hash, counts and weight of the blocks that nodes sent."""
    payloads = list(dict.fromkeys(p for kind, p in captured() if kind == "block"))
    assert len(payloads) > 500
    seen = set()
    for payload, ((row,), error) in zip(payloads, dissected(raw([("block", p, len(p)) for p in payloads])), strict=True):
        block = Block.parse(payload, check_validity=False)
        txs = block.transactions
        assert error is None
        assert shown(row["hash"]) == block.header.hash.hex()
        assert row["weight"] == block.weight
        assert row["transactions"] == len(txs)
        assert (row["inputs"], row["outputs"]) == (sum(len(t.vin) for t in txs), sum(len(t.vout) for t in txs))
        seen.add(len(txs))
    assert len(seen) > 3


def test_weight_of_a_longer_count() -> None:
    """The count's bytes weigh, too, and so do witnesses, a quarter as much."""
    txs = [known.whole for known in TRANSACTIONS] * 100
    payload = HEAD + compact_size(300) + b"".join(txs)
    (row,), _ = one(payload)
    witness = 100 * sum(known.witness for known in TRANSACTIONS)
    assert (row["transactions"], row["weight"]) == (300, 4 * len(payload) - 3 * witness)


@pytest.mark.parametrize(
    ("payload", "transactions", "error"),
    [
        (HEAD, None, "truncated"),
        (HEAD + b"\2" + TX + TX[:-1], 2, "truncated"),
        (HEAD + b"\2" + TX, 2, "truncated"),
        (HEAD + b"\2" + TX + bytes(4) + b"\0\2" + bytes(6), 2, "unknown_flag"),
        (HEAD + b"\x1d" + TX, 29, "truncated"),
        (HEAD + compact_size(0x02000001), None, "over_limit"),
        (HEAD + compact_size(1, 3), None, "non_canonical"),
    ],
)
def test_malformed_blocks(payload: bytes, transactions: int | None, error: str) -> None:
    """The header stays; the count, if it is a proper one that can be; sums only of whole blocks."""
    (row,), found = one(payload)
    assert (row["transactions"], found) == (transactions if transactions != 29 else None, error)
    assert shown(row["hash"]) == GENESIS_HASH
    assert (row["inputs"], row["outputs"], row["weight"]) == (None, None, None)


def test_without_header() -> None:
    """No row."""
    assert one(HEAD[:79]) == ([], "truncated")
    assert one(HEAD[:79], 80) == ([], None)


def test_trailing_bytes() -> None:
    """They take nothing away."""
    assert one(GENESIS + b"more") == (one(GENESIS)[0], "trailing")


def test_cut_blocks() -> None:
    """Of a block that the node sent, header and count are kept; what cannot be is told all the same."""
    assert BlockDissector.needs_sent == 89
    (row,), error = one((HEAD + compact_size(3000) + bytes(9))[:89], 1_700_000)
    assert (row["transactions"], row["weight"], error) == (3000, None, None)
    (row,), error = one((HEAD + compact_size(3000) + bytes(9))[:89], 30_082)
    assert (row["transactions"], error) == (None, "truncated")
    (row,), error = one(HEAD, 1_700_000)
    assert (row["transactions"], error) == (None, None)


def test_the_most_transactions() -> None:
    """A block of the longest message, full of the smallest transactions."""
    count = (MAX_PROTOCOL_MESSAGE_LENGTH - 85) // 10
    (row,), error = one(HEAD + compact_size(count) + bytes(10 * count))
    assert (row["transactions"], row["inputs"], row["outputs"], error) == (count, 0, 0, None)
