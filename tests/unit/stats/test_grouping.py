"""Grouping rows by key."""

from __future__ import annotations

import numpy as np
import pytest

from peerwatch.stats.grouping import group


@pytest.mark.parametrize("span", [10, 10**12])
def test_group_is_unique_with_inverse(span):
    """Near and far keys are grouped as np.unique does it."""
    keys = np.random.default_rng(1).integers(-span, span, 1000)
    distinct, index = group(keys)
    expected, inverse = np.unique(keys, return_inverse=True)
    assert distinct.tolist() == expected.tolist()
    assert index.tolist() == inverse.tolist()
    assert distinct.dtype == keys.dtype


def test_no_rows():
    """Nothing grouped is nothing."""
    assert [len(part) for part in group(np.zeros(0, np.int64))] == [0, 0]


def test_extreme_keys():
    """Keys at both ends of int64 neither overflow nor allocate by their distance."""
    keys = np.array([np.iinfo(np.int64).min, np.iinfo(np.int64).max, 0])
    distinct, index = group(keys)
    assert distinct[index].tolist() == keys.tolist()
