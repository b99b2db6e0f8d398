"""Tail probabilities against SciPy."""

from __future__ import annotations

import pytest
from scipy import stats

from peerwatch.stats.tails import binomial, incomplete_beta, negative_binomial


@pytest.mark.parametrize("p", [0.001, 0.138, 0.5, 0.999])
@pytest.mark.parametrize("n", [1, 20, 500, 100_000])
def test_binomial(n, p):
    """As SciPy's survival function, far into the tail."""
    for k in {1, 2, 3, n // 7, n // 2, n} - {0}:
        assert binomial(k, n, p) == pytest.approx(stats.binom.sf(k - 1, n, p), rel=1e-9, abs=1e-290)


@pytest.mark.parametrize("size", [1, 5, 50])
@pytest.mark.parametrize("mean", [0.1, 15, 900])
def test_negative_binomial(mean, size):
    """As SciPy's survival function, far into the tail."""
    for k in (1, 7, 80, 5000):
        expected = stats.nbinom.sf(k - 1, size, size / (size + mean))
        assert negative_binomial(k, mean, size) == pytest.approx(expected, rel=1e-9, abs=1e-290)


def test_ends():
    """Nothing is always reached, more than all never, and what has no mean never happens."""
    assert (binomial(0, 5, 0.1), binomial(6, 5, 0.1)) == (1, 0)
    assert (negative_binomial(0, 3, 2), negative_binomial(1, 0, 2)) == (1, 0)
    assert (incomplete_beta(2, 3, 0), incomplete_beta(2, 3, 1)) == (0, 1)
