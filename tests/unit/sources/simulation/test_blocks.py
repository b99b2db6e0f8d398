"""Blocks."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from io import BytesIO

import numpy as np
from btclib.tx.tx import Tx

from peerwatch.schema.batch import SECOND
from peerwatch.sources.simulation.chain import sha256d
from peerwatch.sources.simulation.model import Model
from peerwatch.sources.simulation.scenarios._api import Scenario
from tests.unit.sources.simulation.seen import Seen, compact_size, inventory, played, simulated


def hours() -> Seen:
    return simulated(seconds=3600)


def test_heights_count_up_and_headers_link() -> None:
    """Every connected block is one higher, and its hash is that of a header that somebody sent us, on top of the last one."""
    seen = hours()
    headers: dict[bytes, tuple[int, bytes]] = {}
    for m in seen.of("cmpctblock", inbound=True):
        headers.setdefault(sha256d(m.body[:80]), (m.ts, m.body[4:36]))
    connected = seen.probe("block_connected")

    assert 2 <= len(connected) < 20
    assert np.diff([o.args["height"] for o in connected]).tolist() == [1] * (len(connected) - 1)
    for last, o in zip([None, *connected], connected, strict=False):
        came, before = headers[o.args["hash"]]
        assert SECOND // 200 < o.ts - came < 5 * SECOND
        assert last is None or before == last.args["hash"]


def test_compact_blocks_are_well_formed() -> None:
    """Header, nonce, short ids for all transactions but the coinbase, which is there as a whole (BIP 152)."""
    sizes = {o.args["hash"]: o.args["transactions"] for o in hours().probe("block_connected")}
    for m in hours().of("cmpctblock"):
        count, at = compact_size(m.body, 88)
        assert m.body[at + 6 * count : at + 6 * count + 2] == b"\1\0"
        assert Tx.parse(m.body[at + 6 * count + 2 :]).is_coinbase
        assert sizes.get(sha256d(m.body[:80]), count + 1) == count + 1


def test_whole_blocks_are_well_formed_and_full() -> None:
    """A served block is its header and as many transactions as it says, about as large as real ones."""
    blocks = hours().of("block")

    assert blocks
    for m in blocks[:2]:
        assert not m.inbound
        count, at = compact_size(m.body, 80)
        n = 0
        assert 1_000_000 < len(m.body) < 2_000_000
        stream = BytesIO(m.body[at:])
        while stream.tell() < len(m.body) - at:
            Tx.parse(stream)
            n += 1
        assert n == count


def test_each_peer_hears_of_a_block_once() -> None:
    """Either it tells us or we tell it, and those that took headers or compact blocks are not told by inv."""
    seen = hours()
    told: Counter[tuple[int, bytes]] = Counter()
    fetched = {
        (m.peer, item)
        for m in seen.of("getdata", inbound=True)
        for kind, item in inventory(m.body)
        if kind in (2, 4, 2 | 1 << 30)
    }
    opening = {m.peer: m.ts for m in seen.of("verack", inbound=True)}
    for m in seen.of("cmpctblock", "headers", "inv"):
        if m.kind == "inv":
            told.update((m.peer, item) for kind, item in inventory(m.body) if kind == 2)
        elif m.ts > opening.get(m.peer, 0) + 20 * SECOND:
            hash_ = sha256d(m.body[:80] if m.kind == "cmpctblock" else m.body[1:81])
            if not (m.kind == "cmpctblock" and not m.inbound and (m.peer, hash_) in fetched):
                told[m.peer, hash_] += 1
    blocks = Counter(hash_ for _, hash_ in told)
    connected = [o.args["hash"] for o in seen.probe("block_connected")]

    assert set(told.values()) == {1}
    assert min(blocks[h] for h in connected) > 60


def test_missing_transactions_are_fetched_from_the_first() -> None:
    """`getblocktxn` goes to the peer whose compact block came first, and `blocktxn` answers with as many as were asked for."""
    seen = hours()
    asked = seen.of("getblocktxn", inbound=False)
    given = {m.body[:32]: m for m in seen.of("blocktxn", inbound=True)}

    assert asked
    for m in asked:
        first = next(c for c in seen.of("cmpctblock", inbound=True) if sha256d(c.body[:80]) == m.body[:32])
        answer = given[m.body[:32]]
        assert first.peer == m.peer == answer.peer
        assert first.ts < m.ts < answer.ts
        assert answer.body[32] == m.body[32]


def test_coins_are_spent_and_made_by_blocks() -> None:
    """UTXO-cache events lie before the block that causes them, about a tenth of what it has."""
    seen = hours()
    blocks = seen.probe("block_connected")
    spent = np.array([o.ts for o in seen.probe("spent")])
    for o in blocks:
        mine = np.count_nonzero((spent <= o.ts) & (spent > o.ts - o.args["duration"] - 1))
        assert abs(mine - o.args["inputs"] / 10) < 6 * np.sqrt(o.args["inputs"] / 10) + 3
    assert len(seen.probe("add")) > 500
    assert seen.probe("flush")


class Foreign(Scenario):
    """Half of the full nodes that come are on another chain, and nobody stays long."""

    title = "peers on another chain"

    def model(self, normal: Model) -> Model:
        """Other figures."""
        return replace(normal, misbehaving=0.5, stay_median_s=60.0, stay_sigma=0.3)


def test_peers_on_another_chain_are_let_go() -> None:
    """A header without work, the reason in Core's words, the end of the connection, in this order."""
    seen = played(Foreign, 600)
    bad = seen.probe("misbehaving_connection")
    closed = {o.args["peer"]: o.ts for o in seen.probe("closed_connection")}

    assert bad
    for o in bad:
        assert o.args["reason"] == b"header with invalid proof of work"
        last = [m for m in seen.messages if m.peer == o.args["peer"]][-1]
        assert (last.kind, last.inbound) == ("headers", True)
        assert last.ts < o.ts <= closed[o.args["peer"]]
