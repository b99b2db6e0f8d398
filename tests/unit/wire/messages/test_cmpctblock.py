"""`cmpctblock`."""

from __future__ import annotations

import pytest
from btclib.p2p.compact_blocks import CmpctBlock

from tests.reference.decode import Result, dissected, raw
from tests.reference.known import GENESIS, GENESIS_HASH, PAYMENT, shown
from tests.reference.reader import compact_size
from tests.wireproof.examples import captured

HEAD = GENESIS[:80] + bytes(range(8))
TX = PAYMENT.whole
LEAST = bytes(10)


def one(kept: bytes, size: int | None = None) -> Result:
    return dissected(raw([("cmpctblock", kept, len(kept) if size is None else size)]))[0]


def payload(short_ids: int, *prefilled: tuple[int, bytes]) -> bytes:
    txs = b"".join(compact_size(between) + tx for between, tx in prefilled)
    return HEAD + compact_size(short_ids) + bytes(6) * short_ids + compact_size(len(prefilled)) + txs


def counts(result: Result) -> tuple[object, ...]:
    (row,), error = result
    return row["transactions"], row["short_ids"], row["prefilled"], row["weight"], error


def test_a_usual_one() -> None:
    """Short ids, and the coinbase sent along; sums are those of what was sent along."""
    (row,), error = one(payload(3000, (0, TX), (7, TX)))
    assert error is None
    assert (shown(row["hash"]), row["message"], row["hashes"]) == (GENESIS_HASH, "cmpctblock", None)
    assert (row["transactions"], row["short_ids"], row["prefilled"]) == (3002, 3000, 2)
    assert (row["inputs"], row["outputs"], row["weight"]) == (2, 4, 2200)


def test_captured() -> None:
    """What btclib says of what a node sent and was sent."""
    payloads = [p for kind, p in captured() if kind == "cmpctblock"]
    assert len(payloads) > 500
    wrong = []
    for data, ((row,), error) in zip(payloads, dissected(raw([("cmpctblock", p, len(p)) for p in payloads])), strict=True):
        found = CmpctBlock.parse(data, check_validity=False)
        txs = [p.tx for p in found.prefilled_txns]
        assert shown(row["hash"]) == found.header.hash.hex()
        assert (row["short_ids"], row["prefilled"]) == (len(found.short_ids), len(txs))
        assert row["transactions"] == found.tx_count
        if error == "index_overflow":  # a scenario sends one whose only transaction is not at the only place
            wrong.append(row["transactions"])
            continue
        assert error is None
        assert (row["inputs"], row["outputs"]) == (sum(len(t.vin) for t in txs), sum(len(t.vout) for t in txs))
        assert row["weight"] == sum(t.weight for t in txs)
    assert len(wrong) == 1


@pytest.mark.parametrize(
    ("short_ids", "prefilled", "error"),
    [
        (0xFFFE, [(0xFFFE, LEAST)], None),
        (0xFFFE, [(0x10000, LEAST)], "index_overflow"),
        (0, [(0, LEAST), (0, LEAST)], None),
        (0, [(1, LEAST)], "index_overflow"),
        (2, [(1, LEAST), (1, LEAST)], None),
        (2, [(1, LEAST), (2, LEAST)], "index_overflow"),
        (0, [(0x02000001, LEAST)], "over_limit"),
    ],
)
def test_indexes(short_ids: int, prefilled: list[tuple[int, bytes]], error: str | None) -> None:
    """They go up to 16 bits, each one more than the one before at least, and leave no place that no short id is for."""
    assert counts(one(payload(short_ids, *prefilled))) == (
        short_ids + len(prefilled),
        short_ids,
        len(prefilled),
        None if error else 40 * len(prefilled),
        error,
    )


def test_more_transactions_than_indexes() -> None:
    """A block of more than 65535 cannot be sent; that is only judged when all was read, as in Core."""
    most = payload(0xFFFE, (0, LEAST))
    over = payload(0xFFFF, (0, TX))
    assert counts(one(most)) == (0xFFFF, 0xFFFE, 1, 40, None)
    assert counts(one(over)) == (0x10000, 0xFFFF, 1, 1100, "index_overflow")
    assert counts(one(over[:-1])) == (0x10000, 0xFFFF, 1, None, "truncated")


@pytest.mark.parametrize(
    ("kept", "size", "expected"),
    [
        (HEAD[:80], None, (None, None, None, None, "truncated")),
        (HEAD + b"\2" + bytes(11), None, (None, None, None, None, "truncated")),
        (HEAD + b"\2" + bytes(12), None, (None, 2, None, None, "truncated")),
        (HEAD + b"\2" + bytes(5), 200, (None, 2, None, None, None)),
        (HEAD + b"\2" + bytes(5), 100, (None, None, None, None, "truncated")),
        (HEAD + b"\0\2\0" + LEAST + bytes(10), None, (None, 0, None, None, "truncated")),
        (HEAD + b"\0\1\0" + bytes(4) + b"\0\2" + bytes(6), None, (1, 0, 1, None, "unknown_flag")),
        (payload(1, (0, TX)) + b"more", None, (2, 1, 1, 1100, "trailing")),
    ],
)
def test_malformed_and_cut(kept: bytes, size: int | None, expected: tuple[object, ...]) -> None:
    """Counts as far as they were read and can be."""
    assert counts(one(kept, size)) == expected
