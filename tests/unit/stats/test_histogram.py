"""Small histograms by key."""

from __future__ import annotations

import numpy as np
import pytest

from peerwatch.stats.histogram import Histograms
from peerwatch.stats.keyed import Keyed


def filled(bins: int, values: np.ndarray) -> tuple[Histograms, np.ndarray]:
    """A histogram of values for one key, next to another key."""
    keyed = Keyed(2)
    histograms = Histograms(keyed, "h", bins)
    keyed.locate(np.array([9]), np.array([0]))
    slots = keyed.locate(np.full(len(values), 4), np.zeros(len(values), np.int64))
    histograms.update(slots, values)
    return histograms, np.array([keyed.slot(4)])


@pytest.mark.parametrize("n", [5, 5000])
def test_counts(n):
    """Few and many rows are counted in their key's bins only."""
    values = np.random.default_rng(n).integers(0, 7, n)
    histograms, slot = filled(7, values)
    assert histograms.counts(slot)[0].tolist() == np.bincount(values, minlength=7).tolist()
    assert histograms.counts(1 - slot).sum() == 0


def test_mode():
    """The fullest bin, how much is in it, and in all."""
    histograms, slot = filled(12, np.array([10, 10, 3, 10]))
    assert [int(part[0]) for part in histograms.mode(slot)] == [10, 3, 4]


def test_dispersion_tells_uniform_from_clustered():
    """1 for a uniform choice among the bins asked for, well above when some are preferred, infinite for nothing."""
    rng = np.random.default_rng(7)
    uniform, slot = filled(256, rng.integers(1, 224, 1000))
    assert uniform.dispersion(slot, 1, 224)[0] == pytest.approx(1, abs=0.3)
    clustered, slot = filled(256, rng.choice(rng.integers(1, 224, 60), 1000))
    assert clustered.dispersion(slot, 1, 224)[0] > 5
    assert clustered.dispersion(1 - slot, 1, 224).tolist() == [np.inf]


def test_halve():
    """The past weighs half, single counts go."""
    histograms, slot = filled(3, np.array([0, 0, 0, 1]))
    histograms.halve(slot)
    assert histograms.counts(slot)[0].tolist() == [1, 0, 0]
