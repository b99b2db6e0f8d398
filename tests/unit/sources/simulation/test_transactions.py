"""Transactions, judged by an independent implementation."""

from __future__ import annotations

import numpy as np
from btclib.tx.tx import Tx

from peerwatch.sources.simulation.transactions import Mint, Transactions, coinbase
from tests.unit.sources.simulation.seen import rng


def body(txs: Transactions, index: int) -> bytes:
    start, size = int(txs.body.start[index]), int(txs.body.size[index])
    return txs.body.buf[start : start + size].tobytes()


def test_transactions_are_well_formed_and_have_their_real_ids() -> None:
    """Btclib parses every shape whole, and finds the ids, virtual size, inputs and outputs that we say."""
    txs = Mint(rng()).make(600)
    shapes = set()
    for n in range(len(txs)):
        tx = Tx.parse(body(txs, n))
        assert tx.serialize(include_witness=True) == body(txs, n)
        assert tx.id == txs.txid[n][::-1].tobytes()
        assert tx.hash == txs.wtxid[n][::-1].tobytes()
        assert (tx.vsize, len(tx.vin), len(tx.vout)) == (txs.vsize[n], txs.inputs[n], txs.outputs[n])
        shapes.add((len(tx.vin), len(tx.vout), tx.size))
    assert len(shapes) > 12


def test_sizes_and_fees_are_realistic() -> None:
    """The mean is about what fills a block with 3000 of them; all pay something, some pay much."""
    txs = Mint(rng()).make(20_000)
    rate = txs.fee / txs.vsize

    assert 280 < txs.vsize.mean() < 370
    assert np.median(txs.body.size) < 300
    assert rate.min() > 0.09
    assert 2 < np.median(rate) < 3
    assert rate.max() > 20


def test_no_two_are_alike() -> None:
    """Ids are distinct, and another seed makes others."""
    first, other = Mint(rng(1)).make(500), Mint(rng(2)).make(500)

    assert len(np.unique(np.concatenate([first.txid, other.txid]), axis=0)) == 1000
    assert len(Mint(rng()).make(0)) == 0


def test_taking_and_joining_keep_rows_together() -> None:
    """Bytes and columns move as one."""
    first, second = Mint(rng(1)).make(3), Mint(rng(2)).make(2)
    both = Transactions.joined(first, second).take(np.array([4, 0]))

    assert body(both, 0) == body(second, 1)
    assert both.txid.tolist() == [second.txid[1].tolist(), first.txid[0].tolist()]


def test_a_coinbase_is_a_coinbase() -> None:
    """Btclib takes it for one, with the height in it (BIP 34) and a witness commitment (BIP 141)."""
    tx = Tx.parse(coinbase(900_001, rng()))

    assert tx.is_coinbase
    assert tx.vin[0].script_sig[:4] == b"\x03" + (900_001).to_bytes(3, "little")
    assert tx.vout[1].script_pub_key.script[:6] == bytes.fromhex("6a24aa21a9ed")
