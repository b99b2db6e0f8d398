"""Small histograms of many keys at once."""

from __future__ import annotations

import numpy as np

from peerwatch.schema.batch import Array
from peerwatch.stats.keyed import Keyed
from peerwatch.stats.tally import tally


class Histograms:
    """Counts in `bins` bins, for each key of `keyed`.

    >>> keyed = Keyed(10)
    >>> sizes = Histograms(keyed, "sizes", 12)
    >>> slots = keyed.locate(np.array([1, 1, 1]), np.array([0, 0, 0]))
    >>> sizes.update(slots, np.array([10, 10, 3]))
    >>> [v.tolist() for v in sizes.mode(slots[:1])]
    [[10], [2], [3]]
    """

    def __init__(self, keyed: Keyed, name: str, bins: int) -> None:
        """Add the column `name`, `bins` wide."""
        self.bins = bins
        self._keyed = keyed
        self._name = name
        keyed.column(name, np.int32, width=bins)

    def update(self, slots: Array, bins: Array) -> None:
        """Count one in the bin of each row."""
        tally(self._keyed[self._name].reshape(-1), slots * self.bins + bins)

    def counts(self, slots: Array) -> Array:
        """The histograms, shape (slots, bins)."""
        return self._keyed[self._name][slots]

    def mode(self, slots: Array) -> tuple[Array, Array, Array]:
        """The fullest bin, the count in it, and the count of all."""
        counts = self.counts(slots)
        fullest = counts.argmax(axis=1)
        return fullest, counts[np.arange(len(slots)), fullest], counts.sum(axis=1)

    def dispersion(self, slots: Array, low: int, high: int) -> Array:
        """Index of dispersion over the bins low … high-1: 1 for a uniform random choice, more when some bins are preferred.

        It is Pearson's chi-squared against the uniform distribution over its degrees of freedom; its standard deviation is
        sqrt(2 / (high - low - 1)) for a uniform choice. Infinite where nothing was counted.
        """
        counts = self.counts(slots)[:, low:high].astype(float)
        total = counts.sum(axis=1)
        bins = high - low
        squares = (counts * counts).sum(axis=1)
        index = np.divide(bins * squares, total, out=np.full(len(slots), np.inf), where=total > 0)
        return np.asarray((index - total) / (bins - 1))

    def halve(self, slots: Array) -> None:
        """Let what was counted so far weigh half."""
        self._keyed[self._name][slots] //= 2
