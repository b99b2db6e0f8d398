"""The mempool: what is in it, and the events of what enters and leaves."""

from __future__ import annotations

import numpy as np

from peerwatch.schema.batch import SECOND, Array
from peerwatch.sources.simulation.events import Events, probes
from peerwatch.sources.simulation.model import HOUR, Model
from peerwatch.sources.simulation.transactions import Mint, Transactions

_ENTRY = np.dtype([("txid", "V32"), ("entered", "i8"), ("vsize", "i8"), ("fee", "i8"), ("inputs", "i8"), ("outputs", "i8")])

REJECTIONS = {
    b"min relay fee not met": 0.35,
    b"insufficient fee": 0.20,
    b"txn-mempool-conflict": 0.20,
    b"too-long-mempool-chain": 0.15,
    b"bad-txns-inputs-missingorspent": 0.10,
}
"""Why transactions are refused, in Core's words. Shares assumed."""

_MOST_FIRST = 0.97
"""A block takes most of what pays best and leaves some."""


class Mempool:
    """Transactions that wait for a block."""

    def __init__(self, rng: np.random.Generator, model: Model, mint: Mint, start: int) -> None:
        """Begin with what came before `start` (ns)."""
        self._rng = rng
        self._model = model
        self._entries = np.zeros(0, _ENTRY)
        before = mint.make(model.mempool)
        self._insert(before, start - (rng.exponential(2, len(before)) * HOUR).astype(np.int64))

    def __len__(self) -> int:
        """Transactions in it."""
        return len(self._entries)

    def accept(self, at: Array, txs: Transactions) -> list[Events]:
        """Transactions `txs` enter at `at` (ns): some replace others, and pay more (`txs.fee` is changed). Events of it."""
        replaced = self._replace(at, txs)
        self._insert(txs, at)
        added = probes("mempool:added", at, {"txid": txs.txid, "vsize": txs.vsize, "fee": txs.fee})
        return [*replaced, added, *self._trim(int(at.max(initial=0)))]

    def reject(self, at: Array, txs: Transactions) -> list[Events]:
        """Transactions `txs` are refused at `at` (ns): events of it, and of the coins that were looked up in vain."""
        reason = self._rng.choice(np.array(list(REJECTIONS)), len(at), p=list(REJECTIONS.values()))
        looked = np.repeat(np.arange(len(at)), np.minimum(txs.inputs, 8))
        looked = looked[self._rng.random(len(looked)) < self._model.coin_share]
        return [
            probes("mempool:rejected", at, {"txid": txs.txid, "reason": reason}),
            self.coins("utxocache:uncache", at[looked], 0),
        ]

    def take_block(self, at: int) -> tuple[Array, list[Events]]:
        """A block connects at `at` (ns): what is in it (entries), and the events of their leaving."""
        here = np.flatnonzero(self._entries["entered"] < at)
        pays = self._entries["fee"][here] / self._entries["vsize"][here]
        best = here[np.argsort(-pays, kind="stable")]
        best = best[self._rng.random(len(best)) < _MOST_FIRST]
        fits = np.cumsum(self._entries["vsize"][best]) <= self._model.block_vsize - 1000
        mined = np.sort(best[fits])
        entries = self._entries[mined]
        return entries, [self._leave(mined, at + np.arange(len(mined)) * 4000, b"block")]

    def coins(self, name: str, at: Array, height: int) -> Events:
        """Events of the UTXO cache, about coins that nobody has."""
        count = len(at)
        columns = {
            "txid": self._rng.integers(0, 256, (count, 32), np.uint8), "index": self._rng.integers(0, 2, count), "height": height,
            "value": self._rng.integers(600, 10_000_000, count), "coinbase": 0,
        }  # fmt: skip
        return probes(name, at, columns)

    def _replace(self, at: Array, txs: Transactions) -> list[Events]:
        by = np.flatnonzero(self._rng.random(len(at)) < self._model.replacing)
        by = by[: len(self._entries)]
        if not len(by):
            return []
        old = self._rng.choice(len(self._entries), len(by), replace=False)
        old = old[np.argsort(self._entries["entered"][old], kind="stable")]
        late = self._entries["entered"][old] >= at[by]
        old, by = old[~late], by[~late]
        gone = self._entries[old]
        txs.fee[by] = np.maximum(txs.fee[by], gone["fee"] + txs.vsize[by])
        replaced = probes("mempool:replaced", at[by] - 2000, {
            "txid": gone["txid"], "vsize": gone["vsize"], "fee": gone["fee"], "entered": gone["entered"] // SECOND,
            "replacement": txs.txid[by], "replacement_vsize": txs.vsize[by], "replacement_fee": txs.fee[by], "by_transaction": 1,
        })  # fmt: skip
        return [replaced, self._leave(old, at[by] - 1000, b"replaced")]

    def _trim(self, at: int) -> list[Events]:
        """Let the cheapest go when there are too many."""
        over = len(self._entries) - self._model.mempool_max
        if over <= 0:
            return []
        cheap = np.sort(np.argsort(self._entries["fee"] / self._entries["vsize"], kind="stable")[:over])
        return [self._leave(cheap, np.maximum(self._entries["entered"][cheap] + 1000, at), b"sizelimit")]

    def _leave(self, index: Array, at: Array, reason: bytes) -> Events:
        gone = self._entries[index]
        self._entries = np.delete(self._entries, index)
        columns = {"txid": gone["txid"], "reason": reason, "vsize": gone["vsize"], "fee": gone["fee"],
                   "entered": gone["entered"] // SECOND}  # fmt: skip
        return probes("mempool:removed", at, columns)

    def _insert(self, txs: Transactions, at: Array) -> None:
        new = np.zeros(len(txs), _ENTRY)
        new["txid"] = np.ascontiguousarray(txs.txid).view("V32")[:, 0]
        new["entered"] = at
        for column in ("vsize", "fee", "inputs", "outputs"):
            new[column] = getattr(txs, column)
        self._entries = np.concatenate([self._entries, new])
