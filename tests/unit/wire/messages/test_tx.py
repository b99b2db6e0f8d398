"""`tx`."""

from __future__ import annotations

import pytest
from btclib.tx.tx import Tx
from hypothesis import given, settings
from hypothesis import strategies as st

from peerwatch.wire.messages.tx import REMEMBERED, REMEMBERED_BYTES
from tests.reference.decode import KEY, Result, decode, dissected, raw
from tests.reference.known import TRANSACTIONS, Known, shown
from tests.reference.messages.inv import item
from tests.reference.transactions import valid
from tests.wireproof.examples import captured


def one(kept: bytes, size: int | None = None) -> Result:
    return dissected(raw([("tx", kept, len(kept) if size is None else size)]))[0]


@pytest.mark.parametrize("known", TRANSACTIONS, ids=lambda k: k.txid[:4])
def test_known_transactions(known: Known) -> None:
    """Ids, counts and weight of transactions that everybody knows; items as an `inv` of them would have."""
    (row,), error = one(known.whole)
    assert error is None
    assert (shown(row["txid"]), shown(row["wtxid"])) == (known.txid, known.wtxid)
    assert (row["inputs"], row["outputs"], row["witness"]) == (known.inputs, known.outputs, known.witness)
    assert row["weight"] == 4 * len(known.whole) - 3 * known.witness
    assert (row["txid_item"], row["wtxid_item"]) == (item(row["txid"], KEY), item(row["wtxid"], KEY))
    assert (row["version"], row["lock_time"]) == (1, int.from_bytes(known.whole[-4:], "little"))


def agrees(payload: bytes) -> None:
    """What btclib says of a transaction that it takes for one."""
    tx = Tx.parse(payload, check_validity=False)
    (row,), error = one(payload)
    assert error is None
    assert (shown(row["txid"]), shown(row["wtxid"])) == (tx.id.hex(), tx.hash.hex())
    assert (row["inputs"], row["outputs"], row["weight"]) == (len(tx.vin), len(tx.vout), tx.weight)
    assert (row["version"], row["lock_time"]) == (tx.version, tx.lock_time)


def test_captured_transactions() -> None:
    """What btclib says of all that a node sent and was sent, the invalid ones among them."""
    payloads = {payload for kind, payload in captured() if kind == "tx"}
    assert len(payloads) > 50
    for payload in payloads:
        agrees(payload)


@settings(max_examples=40, deadline=None)
@given(valid().filter(lambda payload: payload[4:6] != b"\0\0"))
def test_made_transactions(payload: bytes) -> None:
    """What btclib says of made ones. (It has no transaction without inputs.)"""
    agrees(payload)


def test_trailing_and_cut() -> None:
    """Bytes behind the end change nothing but the error, also when we did not keep them; without the end there is no row."""
    whole = TRANSACTIONS[1].whole
    rows, _ = one(whole)
    assert one(whole + b"more") == (rows, "trailing")
    assert one(whole, len(whole) + 1) == (rows, "trailing")
    assert one(whole[:-1]) == ([], "truncated")
    assert one(whole[:-1], len(whole)) == ([], None)


def test_the_same_to_many_peers() -> None:
    """What is the same is found to be so, however often and wherever it is; the error is each message's own."""
    good, other = TRANSACTIONS[1].whole, TRANSACTIONS[2].whole
    sent = [("tx", good, len(good)), ("tx", other, len(other)), ("tx", good, len(good)), ("tx", good, len(good) + 5)]
    sent += [("tx", good[:50], 50), ("tx", good[:50], 60), ("tx", other, len(other)), ("tx", b"", 0), ("tx", b"", 9)]
    assert dissected(raw(sent)) == [decode(*s) for s in sent]


@pytest.mark.parametrize("length", [REMEMBERED_BYTES, REMEMBERED_BYTES + 1])
def test_more_than_are_remembered(length: int) -> None:
    """More different ones than are remembered, and longer ones, come out right, again and again."""
    script = length - 62
    long = bytes(4) + b"\1" + bytes(36) + b"\xfd" + script.to_bytes(2, "little") + bytes(script) + bytes(4) + b"\1" + bytes(13)
    assert len(long) == length
    short = [n.to_bytes(4, "little") + bytes(6) for n in range(REMEMBERED + 2)]
    sent = [("tx", p, len(p)) for p in [long, *short, *short[-3:], short[0], long]]
    assert [rows[0]["version"] for rows, _ in dissected(raw(sent))] == [int.from_bytes(p[:4], "little") for _, p, _ in sent]
    assert dissected(raw(sent[:1] + sent[-4:])) == [decode(*s) for s in sent[:1] + sent[-4:]]


@settings(max_examples=20, deadline=None)
@given(st.lists(valid(), min_size=1, max_size=3), st.lists(st.integers(0, 2), max_size=20))
def test_repetition_changes_nothing(payloads: list[bytes], order: list[int]) -> None:
    """Any repetition gives what each message gives alone."""
    sent = [("tx", p, len(p)) for n in order for p in payloads[n : n + 1]]
    assert dissected(raw(sent)) == [one(p) for _, p, _ in sent]
