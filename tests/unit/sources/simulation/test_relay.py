"""Transactions between us and our peers."""

from __future__ import annotations

from collections import Counter, defaultdict
from hashlib import sha256

import numpy as np
from btclib.tx.tx import Tx

from peerwatch.schema.batch import SECOND
from tests.unit.sources.simulation.seen import inventory, simulated


def wtxid(raw: bytes) -> bytes:
    return sha256(sha256(raw).digest()).digest()


def txid(raw: bytes) -> bytes:
    return Tx.parse(raw).id[::-1]


def test_we_request_what_a_peer_told_us_and_get_it() -> None:
    """Each of our getdata is of entries that this peer announced before, and is answered by these transactions, by that peer."""
    seen = simulated(seconds=1200)
    told: dict[int, dict[bytes, int]] = defaultdict(dict)
    asked: dict[bytes, tuple[int, int]] = {}
    delivered: Counter[bytes] = Counter()
    for m in seen.of("inv", "getdata", "tx"):
        if m.kind == "inv" and m.inbound:
            told[m.peer].update({item: m.ts for _, item in inventory(m.body)})
        elif m.kind == "getdata" and not m.inbound:
            for kind, item in inventory(m.body):
                assert kind in (5, 0x40000001)
                assert m.ts > 60 * SECOND + seen.messages[0].ts or item in told[m.peer] or m.ts - seen.messages[0].ts < 5 * SECOND
                assert item not in asked
                asked[item] = (m.peer, m.ts)
        elif m.kind == "tx" and m.inbound:
            item = wtxid(m.body) if wtxid(m.body) in asked else txid(m.body)
            if item in asked:
                assert asked[item][0] == m.peer
                assert asked[item][1] < m.ts
            delivered[item] += 1
    assert len(asked) > 4000
    assert set(delivered.values()) == {1}
    assert len(set(asked) - set(delivered)) < 0.01 * len(asked)


def test_inbound_peers_are_asked_later() -> None:
    """Between an inbound peer's announcement and our request there are at least two seconds (NONPREF_PEER_TX_DELAY)."""
    seen = simulated(seconds=1200)
    told: dict[tuple[int, bytes], int] = {}
    waits: dict[bool, list[float]] = {True: [], False: []}
    outbound = {p for w in seen.windows for p, n in w.names.items() if n.conn_type != b"inbound"}
    for m in seen.of("inv", "getdata"):
        if m.kind == "inv" and m.inbound:
            told.update({(m.peer, item): m.ts for _, item in inventory(m.body)})
        elif m.kind == "getdata" and not m.inbound:
            for _, item in inventory(m.body):
                if (m.peer, item) in told:
                    waits[m.peer in outbound].append((m.ts - told[m.peer, item]) / SECOND)
    assert min(waits[False]) > 2.0
    assert max(waits[False]) < 2.2
    assert max(waits[True]) < 0.2
    assert len(waits[True]) > 500


def test_who_was_told_does_not_tell() -> None:
    """A transaction is announced in one direction only between us and a peer, and once."""
    seen = simulated(seconds=1200)
    pairs = Counter((m.peer, item) for m in seen.of("inv") for kind, item in inventory(m.body) if kind != 2)

    assert set(pairs.values()) == {1}
    assert len(pairs) > 300_000


def test_the_flow_is_that_of_mainnet() -> None:
    """3 to 7 transactions a second; we give some to peers, which is of the order of what we get."""
    seen = simulated(seconds=1200)
    rate = len(seen.of("tx", inbound=True)) / 1200
    given = len(seen.of("tx", inbound=False)) / 1200

    assert 3 < rate < 7
    assert rate < given < 5 * rate
    sizes = np.array([len(m.body) for m in seen.of("tx")])
    assert 180 < np.median(sizes) < 400


def test_what_enters_the_mempool_came_as_a_transaction() -> None:
    """`added` and `rejected` name transactions that a peer has just sent."""
    seen = simulated(seconds=1200)
    came = {txid(m.body): m.ts for m in seen.of("tx", inbound=True)}
    entered = [o for o in seen.probe("added", "rejected") if o.ts > seen.messages[0].ts + 5 * SECOND]

    known = [o for o in entered if o.args["txid"] in came]
    assert len(known) > 0.998 * len(entered) > 4000
    assert all(0 < o.ts - came[o.args["txid"]] < SECOND // 100 for o in known)


def test_peers_that_want_no_transactions_hear_of_none() -> None:
    """Block-relay-only connections and those with the relay flag off see no inv of transactions, either way."""
    seen = simulated(seconds=1200)
    quiet = {m.peer for m in seen.of("version", inbound=True) if not m.body[-1]}
    quiet |= {p for w in seen.windows for p, n in w.names.items() if n.conn_type == b"block-relay-only"}
    talking = {m.peer for m in seen.of("inv") if inventory(m.body)[0][0] != 2}

    assert len(quiet) > 5
    assert not quiet & talking
