"""Regularity of events."""

from __future__ import annotations

import numpy as np
import pytest

from peerwatch.schema.batch import SECOND
from peerwatch.stats.keyed import Keyed
from peerwatch.stats.spacing import LONGEST_S, Spacing


def spacing_of(ts: np.ndarray, keys: np.ndarray | None = None, parts: int = 1) -> tuple[Spacing, Keyed]:
    """Spacing of events at these times (ns), given in so many calls."""
    keyed = Keyed(8)
    spacing = Spacing(keyed, "gaps")
    keys = np.zeros(len(ts), np.int64) if keys is None else keys
    for part in np.array_split(np.arange(len(ts)), parts):
        spacing.update(keyed.locate(keys[part], ts[part]), ts[part])
    return spacing, keyed


def test_clockwork_poisson_and_bursts():
    """0 for equal gaps, about 1 for a Poisson process, well above for bursts."""
    rng = np.random.default_rng(5)
    clockwork = np.arange(100) * SECOND
    poisson = np.cumsum(rng.exponential(30 * SECOND, 2000)).astype(np.int64)
    bursts = np.sort(np.concatenate([clockwork, clockwork + 1000, clockwork + 2000]))
    values = []
    for ts in (clockwork, poisson, bursts):
        spacing, keyed = spacing_of(ts)
        values.append(spacing.variation(keyed.slots())[0])
    assert values[0] == 0
    assert values[1] == pytest.approx(1, abs=0.1)
    assert values[2] > 1.3


def test_keys_do_not_mix_and_batches_do_not_matter():
    """Interleaved keys in one call or in many give the same."""
    rng = np.random.default_rng(6)
    ts = np.cumsum(rng.integers(0, SECOND, 300))
    keys = rng.integers(0, 3, 300)
    whole, keyed = spacing_of(ts, keys)
    parts, other = spacing_of(ts, keys, parts=300)
    assert whole.variation(keyed.slots()).tolist() == parts.variation(other.slots()).tolist()
    alone, single = spacing_of(ts[keys == 2])
    assert whole.variation(np.array([keyed.slot(2)])) == alone.variation(single.slots())


def test_too_little_is_infinite():
    """Without a gap, or with gaps of nothing only, there is no regularity."""
    for ts in (np.array([5]), np.array([5, 5, 5])):
        spacing, keyed = spacing_of(ts)
        assert spacing.variation(keyed.slots()).tolist() == [np.inf]


def test_hostile_times():
    """Times that go back count as no gap, and long gaps as the longest."""
    spacing, keyed = spacing_of(np.array([10, 5, 5 + 10**6 * SECOND]))
    assert keyed.of(0, "gaps.sum") == LONGEST_S * 10_000
    assert spacing.count(keyed.slots()).tolist() == [2]


def test_halving_lets_a_change_show():
    """After a halving the past weighs half."""
    spacing, keyed = spacing_of(np.arange(100) * SECOND)
    spacing.halve(keyed.slots())
    assert spacing.count(keyed.slots()).tolist() == [49]
    assert spacing.variation(keyed.slots())[0] == pytest.approx(0, abs=0.1)


def test_no_events():
    """Nothing is no gap."""
    spacing, keyed = spacing_of(np.zeros(0, np.int64))
    assert len(keyed) == 0
    assert spacing.count(keyed.slots()).tolist() == []
