"""Sums over the last seconds."""

from __future__ import annotations

import numpy as np

from peerwatch.stats.window import Window


def test_is_a_sliding_sum():
    """At any time the sum of what the last seconds brought, whatever the pauses."""
    rng = np.random.default_rng(8)
    window, seen, now = Window(20, 2), [], 100
    for _ in range(300):
        now += int(rng.integers(0, 12))
        values = rng.integers(0, 9, 2).tolist()
        window.update(now, values)
        seen.append((now, values))
        inside = [v for second, v in seen if now - 20 < second <= now]
        assert window.value(now) == [sum(column) for column in zip(*inside, strict=True)]


def test_since():
    """A part of the window can be asked for."""
    window = Window(100)
    for second in range(50):
        window.update(second, (1,))
    assert window.value(49, since=40) == [10]
    assert window.value(49, since=-500) == [50]


def test_what_fell_out_is_ignored():
    """A second that is older than the window changes nothing."""
    window = Window(10)
    window.update(25, (1,))
    window.update(5, (7,))
    assert window.value(25) == [1]
