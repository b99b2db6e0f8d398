"""Which transactions were announced to whom."""

from __future__ import annotations

import json

import numpy as np
import pytest

from peerwatch.peers import announced as module
from peerwatch.peers.announced import Announced, Items


def items(peer: int, item: list[int], ordinal: list[int], began: int = 0) -> Items:
    """Items of one connection."""
    count = len(item)
    return Items(np.full(count, peer), np.array(item, np.uint64), np.array(ordinal, np.int64), np.full(count, began))


NONE = items(0, [], [])


def test_what_was_announced_before_is_not_missing() -> None:
    """To that peer, and before: in the same batch, or in an earlier one, through a snapshot."""
    announced = Announced()
    requested = items(1, [7, 7, 8], [3, 5, 6])
    assert announced.missing(items(1, [7], [4]), requested, 0).tolist() == [True, False, True]
    again = Announced()
    again.restore(json.loads(json.dumps(announced.state())))
    assert again.missing(NONE, items(1, [7, 8], [10, 11]), 10).tolist() == [False, True]
    assert again.missing(NONE, items(2, [7], [20]), 20).tolist() == [True]


def test_who_began_before_the_horizon_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """When a generation is given up, connections of its time are not judged any more; younger ones are."""
    monkeypatch.setattr(module, "NOTED", 10)
    for size in (1, 7, 100):
        announced, found = Announced(), []
        for first in range(0, 100, size):
            at = np.arange(first, min(first + size, 100))
            old, young = at[at % 2 == 0], at[(at % 2 == 1) & (at > 60) & (at < 80)]
            notes = items(1, old.tolist(), old.tolist(), 0)
            fresh = items(2, young.tolist(), young.tolist(), 60)
            both = Items(
                *(np.concatenate(c) for c in zip(*[(n.peer, n.item, n.ordinal, n.began) for n in (notes, fresh)], strict=True))
            )
            both = both.take(np.argsort(both.ordinal))
            asked = [o for o in at.tolist() if o % 5 == 0]
            wrong = announced.missing(both, items(1, [10**6 + o for o in asked], asked, 0), first)
            found += [o for o, w in zip(asked, wrong.tolist(), strict=True) if w]
        assert found == [0, 5, 10, 15, 20, 25, 30, 35]
        assert announced.since == 39
        wrong = announced.missing(NONE, items(2, [61, 10**6], [200, 201], 60), 200)
        assert wrong.tolist() == [False, True]


def test_nobody_is_accused_by_chance() -> None:
    """Of many announcements none is missing; of what was not announced, most is noticed."""
    rng = np.random.default_rng(1)
    announced, count = Announced(), 200_000
    known = rng.integers(0, 1 << 63, count, dtype=np.uint64)
    everything = Items(rng.integers(0, 100, count), known, np.arange(count), np.zeros(count, np.int64))
    later = Items(everything.peer, known, everything.ordinal + count, everything.began)
    assert not announced.missing(everything, later, 0).any()
    strange = Items(everything.peer, known + np.uint64(1), later.ordinal, everything.began)
    assert announced.missing(NONE, strange, count).mean() > 0.85
    assert len(json.dumps(announced.state())) < 700_000
