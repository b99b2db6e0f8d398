"""Whom a full node evicts."""

from __future__ import annotations

import numpy as np

from peerwatch.schema.batch import SECOND, Array
from peerwatch.sources.simulation.eviction import evict
from peerwatch.sources.simulation.peers import PEER
from tests.unit.sources.simulation.seen import START, rng

PROTECTED = 4 + 8 + 4 + 8 + 4
"""Peers that qualities protect, before half of the rest is protected by uptime (Core, node/eviction.cpp)."""


def table(count: int) -> Array:
    peers = np.zeros(count, PEER)
    peers["opened"] = START - np.arange(count)[::-1] * SECOND
    peers["merit"] = rng().random(count)
    peers["rtt"] = np.arange(count) + 10**9
    peers["group"] = np.arange(count)
    return peers


def test_the_youngest_of_the_largest_netgroup_goes() -> None:
    """Twelve peers out of one place, however they behave, lose one; those that are there longest do not."""
    peers = table(100)
    peers["group"][85:97] = 7
    chosen = evict(peers, START + 1)

    assert chosen == 96


def test_who_is_there_longest_is_safe() -> None:
    """Half of those whom nothing else protects are protected by their uptime."""
    peers = table(100)
    for _ in range(40):
        chosen = evict(peers, START + 1)
        if chosen is None:
            break
        assert chosen >= (len(peers) - PROTECTED) // 2
        peers = np.delete(peers, chosen)


def test_quick_peers_are_safe() -> None:
    """The eight with the lowest ping stay, even in the largest netgroup."""
    peers = table(100)
    peers["group"][90:98] = 7
    peers["rtt"][90:98] = 1
    chosen = evict(peers, START + 1)

    assert chosen is not None
    assert not 90 <= chosen < 98


def test_hidden_networks_have_a_reserve() -> None:
    """Up to a quarter of the rest is kept for onion, I2P and CJDNS peers, although they came last."""
    peers = table(60)
    peers["hidden"][52:] = True
    peers["group"][52:] = 3
    chosen = evict(peers, START + 1)

    assert chosen is not None
    assert chosen < 52


def test_a_small_node_evicts_nobody() -> None:
    """When all are protected, the new connection is the one that goes."""
    peers = table(8)

    assert evict(peers, START + 1) is None
    assert evict(peers[:0], START + 1) is None
