"""What is usual, learned."""

from __future__ import annotations

import numpy as np
import pytest

from peerwatch.stats.baseline import Baseline


def fresh() -> Baseline:
    """A baseline as the distributed flood has it."""
    return Baseline(mean=4.5, sizes=(5, 50), trust=12, memory=288)


def test_prior_needs_no_warm_up():
    """Before anything was learned, the usual is likely and six times the usual is not."""
    assert fresh().tail(450, 100) > 0.1
    assert fresh().tail(2700, 100) < 1e-6


def test_learns_mean_and_spread():
    """After a day of counts the mean is theirs, and so is the spread: tight when they are, loose when they are not."""
    rng = np.random.default_rng(9)
    tight, loose = fresh(), fresh()
    for _ in range(600):
        tight.learn(int(rng.poisson(200)), 100)
        loose.learn(int(rng.negative_binomial(6, 6 / 206)), 100)
    assert tight.mean == pytest.approx(2, rel=0.1)
    assert loose.mean == pytest.approx(2, rel=0.2)
    assert tight.size == 50
    assert loose.size < 12
    assert tight.tail(500, 100) < 1e-6 < loose.tail(500, 100)


def test_burst_is_learned_as_a_bounded_one():
    """One window of a thousand times the usual moves the mean by a small part only."""
    baseline = fresh()
    for _ in range(100):
        baseline.learn(450, 100)
    baseline.learn(450_000, 100)
    assert baseline.mean < 4.5 * 1.05


def test_what_is_not_believed_is_hardly_learned():
    """It moves the mean slowly and leaves the spread as it was."""
    quick, slow = fresh(), fresh()
    for baseline, believed in ((quick, True), (slow, False)):
        for _ in range(100):
            baseline.learn(450, 100)
        before = baseline.size
        for _ in range(10):
            baseline.learn(1350, 100, believed=believed)
        assert (baseline.size == pytest.approx(before, rel=0.1)) is not believed
    assert 0 < slow.mean - 4.5 < 0.2 * (quick.mean - 4.5)


def test_nothing_exposed_is_nothing_learned():
    """Without exposure there is nothing to learn from."""
    baseline = fresh()
    baseline.learn(5, 0)
    assert baseline.state() == fresh().state()
