"""Whom a full node evicts when one more connects.

Source: Bitcoin Core, node/eviction.cpp (SelectNodeToEvict). What the simulation does not keep (who delivered the last
transactions and blocks) is replaced by a fixed random order of peers, so that some are protected for it, and always the same.
"""

from __future__ import annotations

import numpy as np

from peerwatch.schema.batch import Array

_NETGROUP, _PING, _TX, _BLOCK_RELAY, _BLOCK = 4, 8, 4, 8, 4
"""Peers protected for each quality (SelectNodeToEvict, ProtectEvictionCandidatesByRatio)."""


def evict(peers: Array, at: int) -> int | None:
    """Choose among inbound peers (peers.PEER rows) whom to evict at `at` (ns): an index, or None when all are protected."""
    left = np.flatnonzero(peers["opened"] < at)
    merit = peers["merit"]
    left = _without(left, np.argsort(merit[left], kind="stable")[:_NETGROUP])
    left = _without(left, np.argsort(peers["rtt"][left], kind="stable")[:_PING])
    left = _without(left, _best(left, merit, peers["announces_tx"])[:_TX])
    left = _without(left, _best(left, merit, peers["has_blocks"] & ~peers["wants_tx"])[:_BLOCK_RELAY])
    left = _without(left, _best(left, merit, peers["has_blocks"])[:_BLOCK])
    left = _without(left, _protected_by_uptime(left, peers))
    if not len(left):
        return None
    groups, counts = np.unique(peers["group"][left], return_counts=True)
    # Core breaks ties by the group whose youngest member is the youngest.
    biggest = left[np.isin(peers["group"][left], groups[counts == counts.max()])]
    return int(biggest[np.argmax(peers["opened"][biggest])])


def _without(left: Array, positions: Array) -> Array:
    return np.delete(left, positions)


def _best(left: Array, merit: Array, quality: Array) -> Array:
    """Positions in `left` of the peers that have a quality, in order of merit."""
    having = np.flatnonzero(quality[left])
    return having[np.argsort(merit[left][having], kind="stable")]


def _protected_by_uptime(left: Array, peers: Array) -> Array:
    """Half of them: up to a quarter hidden-network peers that are there longest, the rest whoever is there longest."""
    half = len(left) // 2
    by_age = np.argsort(peers["opened"][left], kind="stable")
    hidden = by_age[peers["hidden"][left][by_age]][: half // 2]
    others = by_age[~np.isin(by_age, hidden)][: half - len(hidden)]
    return np.concatenate([hidden, others])
