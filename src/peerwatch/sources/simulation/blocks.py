"""Blocks: found, announced, fetched, connected, passed on.

Source: Bitcoin Core, net_processing.cpp (NewPoWValidBlock, SendMessages, ProcessCompactBlockTxns), BIP 130, BIP 152. Blocks are
seldom, so this part writes messages one by one.
"""

from __future__ import annotations

import struct

import numpy as np

from peerwatch.schema.batch import SECOND, Array
from peerwatch.sources.simulation.chain import Chain, headers
from peerwatch.sources.simulation.events import Events, Script, probes
from peerwatch.sources.simulation.inventory import MSG_BLOCK, MSG_CMPCT_BLOCK, MSG_WITNESS_BLOCK, one
from peerwatch.sources.simulation.mempool import Mempool
from peerwatch.sources.simulation.model import FAR, HOUR, MS, US, Model
from peerwatch.sources.simulation.peers import Span
from peerwatch.sources.simulation.pieces import Pieces
from peerwatch.sources.simulation.transactions import coinbase

_HIGH_BANDWIDTH = 3
"""Peers that we ask to send blocks compact at once (BIP 152; Core: MaybeSetPeerAsAnnouncingHeaderAndIDs)."""

_FLUSH = HOUR
"""Time between writes of the UTXO cache to disk (Core: DATABASE_WRITE_INTERVAL, 50 to 70 min)."""

_COIN_BYTES = 96
"""Memory of a cached coin, roughly."""

_SPREAD_S = 0.2
"""Median time by which a peer has a block after us, who have quick peers. Assumed."""

_FETCHING = 0.08
"""Peers that we tell of a block and that fetch it from us. Assumed."""

_WHOLE = 0.2
"""Share of those that fetch the whole block instead of a compact one. Assumed."""

_SWAP = 0.2
"""Share of the blocks after which we ask another peer for compact blocks. Assumed."""


class Blocks:
    """Finds blocks and tells what is said of them."""

    def __init__(self, rng: np.random.Generator, model: Model, chain: Chain, mempool: Mempool, start: int) -> None:
        """Blocks on top of `chain`, of transactions from `mempool`."""
        self._rng = rng
        self._model = model
        self._chain = chain
        self._mempool = mempool
        self._next = start + self._wait()
        self._flush = start + int(rng.random() * _FLUSH)
        self._quick: list[int] = []
        self._coins = 4_000_000

    def run(self, span: Span, peers: Array, recent: Pieces) -> list[Events]:
        """All that blocks cause in `span`; `recent` are transactions of which whole blocks are made."""
        out: list[Events] = []
        while self._next < span.end:
            out += self._block(self._next, peers, recent)
            self._next += self._wait()
        while self._flush < span.end:
            out.append(self._write_coins(self._flush))
            self._flush += int(_FLUSH * self._rng.uniform(50 / 60, 70 / 60))
        return out + self._foreign_headers(span, peers)

    def _block(self, at: int, peers: Array, recent: Pieces) -> list[Events]:
        here = peers[(peers["ready"] < at) & (peers["closes"] > at + SECOND) & peers["has_blocks"]]
        sources = here[here["full_relay"]]
        if not len(here) or not len(sources):
            return []  # without peers there is no block either
        script = Script()
        self._chain.grow(at)
        mined, leaving = self._mempool.take_block(at + 30 * MS)
        compact = self._compact(len(mined))
        quick = self._quick_peers(sources, script, at)
        known = self._receive(script, at, quick, compact)
        duration = int(self._rng.lognormal(np.log(120 * MS), 0.5))
        connected = known + duration
        self._announce(script, (known, connected), peers, quick, (compact, recent))
        return [script.events(), *leaving, *self._connect(connected, duration, mined)]

    def _quick_peers(self, sources: Array, script: Script, at: int) -> Array:
        """The outbound peers that send us blocks compact at once; now and then another takes the place of the oldest."""
        ids = sources["id"].tolist()
        self._quick = [peer for peer in self._quick if peer in ids]
        others = [peer for peer in ids if peer not in self._quick]
        while others and (len(self._quick) < _HIGH_BANDWIDTH or self._rng.random() < _SWAP):
            if len(self._quick) == _HIGH_BANDWIDTH:
                script.say(at + 400 * MS, self._quick.pop(0), False, "sendcmpct", struct.pack("<?Q", False, 2))
            peer = others.pop(int(self._rng.integers(len(others))))
            script.say(at + 401 * MS, peer, False, "sendcmpct", struct.pack("<?Q", True, 2))
            self._quick.append(peer)
        return sources[np.isin(sources["id"], self._quick)]

    def _receive(self, script: Script, at: int, quick: Array, compact: bytes) -> int:
        """The quick peers send it at once; what is missing of it is fetched from the first. When we have it whole, ns."""
        delays = np.sort(self._rng.exponential(0.3 * SECOND, len(quick))).astype(np.int64)
        delays[0] = 0
        for peer, delay in zip(quick["id"].tolist(), delays.tolist(), strict=True):
            script.say(at + delay, peer, True, "cmpctblock", compact)
        first, rtt = int(quick["id"][0]), int(quick["rtt"][0])
        if self._rng.random() >= self._model.missing_tx:
            return at + 8 * MS
        missing = int(self._rng.integers(1, 20))
        # Indices are differences, so ones are as good as any (BIP 152).
        script.say(at + 5 * MS, first, False, "getblocktxn", self._chain.tip + bytes([missing]) + b"\1" * missing)
        given = b"".join(coinbase(self._chain.height, self._rng) for _ in range(missing))
        script.say(at + 5 * MS + rtt, first, True, "blocktxn", self._chain.tip + bytes([missing]) + given)
        return at + 13 * MS + rtt

    def _announce(self, script: Script, times: tuple[int, int], peers: Array, quick: Array, block: tuple[bytes, Pieces]) -> None:
        """Who has it before us tells us, and we tell the others: compact once it is `known`, else once it is `connected`."""
        known, connected = times
        one_header = headers(self._chain.header)
        delays = self._rng.lognormal(np.log(_SPREAD_S), 1.0, len(peers)) * SECOND
        listening = (peers["ready"] < known) & (peers["closes"] > connected + SECOND) & ~np.isin(peers["id"], quick["id"])
        for n, index in enumerate(np.flatnonzero(listening).tolist()):
            row = peers[index]
            peer, heard = int(row["id"]), known + int(delays[index])
            ours = known + n * 60 * US if row["wants_compact"] else connected + n * 60 * US
            if row["has_blocks"] and heard < ours:
                script.say(heard, peer, True, "headers", one_header)
                continue
            if row["wants_compact"]:
                script.say(ours, peer, False, "cmpctblock", block[0])
            elif row["sends_headers"]:
                script.say(ours, peer, False, "headers", one_header)
                self._serve(script, ours, row, block)
            else:
                script.say(ours, peer, False, "inv", one(MSG_BLOCK, self._chain.tip))

    def _serve(self, script: Script, told: int, row: Array, block: tuple[bytes, Pieces]) -> None:
        if self._rng.random() >= _FETCHING:
            return
        peer, at = int(row["id"]), told + int(row["rtt"]) + 3 * MS
        if self._rng.random() < _WHOLE:
            script.say(at, peer, True, "getdata", one(MSG_WITNESS_BLOCK, self._chain.tip))
            script.say(at + 4 * MS, peer, False, "block", self._whole(block[1]))
        else:
            script.say(at, peer, True, "getdata", one(MSG_CMPCT_BLOCK, self._chain.tip))
            script.say(at + MS, peer, False, "cmpctblock", block[0])

    def _connect(self, at: int, duration: int, mined: Array) -> list[Events]:
        """The block becomes the tip: coins are spent and made, then the tracepoint fires."""
        inputs, outputs = int(mined["inputs"].sum()), int(mined["outputs"].sum()) + 1
        self._coins += outputs - inputs
        out = []
        for name, count in (("utxocache:spent", inputs), ("utxocache:add", outputs)):
            some = self._rng.binomial(count, self._model.coin_share)
            when = np.sort(self._rng.integers(at - duration, at, some))
            out.append(self._mempool.coins(name, when, self._chain.height))
        columns = {
            "hash": np.frombuffer(self._chain.tip, np.uint8).reshape(1, 32), "height": self._chain.height,
            "transactions": len(mined) + 1, "inputs": inputs, "sigops": 4 * inputs, "duration": duration,
        }  # fmt: skip
        return [*out, probes("validation:block_connected", np.array([at]), columns)]

    def _write_coins(self, at: int) -> Events:
        columns = {"duration": int(self._rng.lognormal(np.log(300_000), 0.6)), "mode": 2, "coins": self._coins,
                   "memory": self._coins * _COIN_BYTES, "for_prune": 0}  # fmt: skip
        return probes("utxocache:flush", np.array([at]), columns)

    def _foreign_headers(self, span: Span, peers: Array) -> list[Events]:
        """A peer on another chain sends the header for which it is let go."""
        script = Script()
        for row in peers[peers["misbehaves"] & (peers["closes"] < FAR) & (peers["leaves"] < span.end)]:
            header = self._chain.make_header(self._rng.bytes(32), int(row["closes"]))
            script.say(max(int(row["closes"]) - 2 * MS, span.start), int(row["id"]), True, "headers", headers(header))
        return [script.events()]

    def _compact(self, transactions: int) -> bytes:
        """The tip as `cmpctblock`: header, nonce, a 6-byte id for each transaction, and the coinbase as a whole."""
        ids = _count(transactions) + self._rng.bytes(6 * transactions)
        return self._chain.header + self._rng.bytes(8) + ids + b"\1\0" + coinbase(self._chain.height, self._rng)

    def _whole(self, recent: Pieces) -> bytes:
        """The tip as `block`, made of the transactions at hand again and again until it is as large as a block is."""
        body = recent.buf.tobytes()
        times = max(1, int(1.6 * self._model.block_vsize / len(body))) if len(body) else 0
        count = _count(1 + times * len(recent))
        return self._chain.header + count + coinbase(self._chain.height, self._rng) + body * times

    def _wait(self) -> int:
        return int(self._rng.exponential(self._model.block_s) * SECOND)


def _count(number: int) -> bytes:
    return bytes([number]) if number < 0xFD else b"\xfd" + struct.pack("<H", number)  # noqa: PLR2004 - compact size
