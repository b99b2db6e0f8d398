"""Rows by key: distinct keys, and which of them each row has."""

from __future__ import annotations

import numpy as np

from peerwatch.schema.batch import Array

SPARE = 4096
"""Span of keys up to which a table by key is cheaper than sorting, whatever the number of rows."""


def group(keys: Array) -> tuple[Array, Array]:
    """Distinct keys in ascending order, and for each row the index of its key among them.

    As `np.unique(keys, return_inverse=True)`, but linear in the rows when keys lie close together, as peer ids do: 1 ms
    instead of 80 ms for a million rows.

    >>> group(np.array([7, 5, 7]))
    (array([5, 7]), array([1, 0, 1]))
    """
    if not len(keys):
        return keys, np.zeros(0, np.intp)
    low = int(keys.min())
    span = int(keys.max()) - low + 1
    if span > 4 * len(keys) + SPARE:
        distinct, index = np.unique(keys, return_inverse=True)
        return distinct, index
    offset = keys - low
    present = np.zeros(span, bool)
    present[offset] = True
    found = np.flatnonzero(present)
    position = np.empty(span, np.intp)
    position[found] = np.arange(len(found))
    return (found + low).astype(keys.dtype), position[offset]
