"""Adding up many rows into few cells."""

from __future__ import annotations

import numpy as np

from peerwatch.schema.batch import Array

FEW = 1000
"""Rows up to which `np.add.at` is faster than a pass over all cells."""


def tally(cells: Array, index: Array, amounts: Array | None = None) -> None:
    """Add 1, or `amounts` (whole numbers below 2^53 in sum), to the cell that each row names. Cells are one-dimensional.

    >>> cells = np.zeros(3, np.int64)
    >>> tally(cells, np.array([2, 0, 2]))
    >>> cells
    array([1, 0, 2])
    """
    if len(index) <= FEW:
        np.add.at(cells, index, cells.dtype.type(1) if amounts is None else amounts.astype(cells.dtype))
        return
    sums = np.bincount(index, amounts)
    cells[: len(sums)] += sums.astype(cells.dtype)
