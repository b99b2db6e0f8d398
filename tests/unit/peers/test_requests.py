"""Requests in columns, and their keys."""

from __future__ import annotations

import numpy as np

from peerwatch.peers.requests import COLUMNS, KEY_BITS, Requests, keys


def test_keys_tell_apart() -> None:
    """Who asks whom for what: no two of a hundred thousand have the same key, and keys have no more bits than they may."""
    peer, side, item = (part.ravel() for part in np.meshgrid(np.arange(50), np.arange(2), np.arange(1000, dtype=np.uint64)))
    made = keys(peer, side, item)
    assert len(np.unique(made)) == 100_000
    assert int(made.max()) < 1 << KEY_BITS


def test_joined_are_in_order() -> None:
    """By event; those of one event as the parts are given."""

    def some(ordinals: list[int], kind: int) -> Requests:
        made = Requests.none(len(ordinals))
        made.ordinal[:], made.kind[:] = ordinals, kind
        return made

    joined = Requests.joined([some([1, 4, 9], 0), some([0, 4, 5], 1), Requests.none()])
    assert joined.ordinal.tolist() == [0, 1, 4, 4, 5, 9]
    assert joined.kind.tolist() == [1, 0, 0, 1, 1, 0]
    assert len(Requests.joined([])) == 0
    assert len(joined.take(slice(2))) == 2
    assert set(COLUMNS) >= {"key", "ordinal", "now"}
