"""Adding up rows into cells."""

from __future__ import annotations

import numpy as np
import pytest

from peerwatch.stats.tally import FEW, tally


@pytest.mark.parametrize("n", [0, 10, FEW + 1, 20_000])
@pytest.mark.parametrize("weighted", [False, True])
def test_tally(n, weighted):
    """Few rows and many give what a loop gives."""
    rng = np.random.default_rng(n)
    index, amounts = rng.integers(0, 50, n), rng.integers(0, 1000, n)
    cells, expected = np.full(64, 7, np.int64), np.full(64, 7, np.int64)
    tally(cells, index, amounts if weighted else None)
    for i, amount in zip(index.tolist(), amounts.tolist(), strict=True):
        expected[i] += amount if weighted else 1
    assert cells.tolist() == expected.tolist()
