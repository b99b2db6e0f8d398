"""Poisson clocks: the moments at which something that waits is sent."""

from __future__ import annotations

import numpy as np

from peerwatch.schema.batch import SECOND, Array
from peerwatch.sources.simulation.model import FAR
from peerwatch.sources.simulation.peers import Span

_SHIFT = 40
"""Clock number and time share one sortable word: 2^40 ns is 18 minutes, more than two windows."""


class Clocks:
    """Ticks of many clocks in the present window and the next, so that what becomes ready at a window's end finds its tick.

    A clock is known by a key (int64). Its ticks in a window are drawn once and stay, whatever else comes and goes.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        """No clock runs yet."""
        self._rng = rng
        self._ahead = (np.zeros(0, np.int64), np.zeros(0, np.int64))
        self._keys = np.zeros(0, np.int64)
        self._base = 0
        self._words = np.zeros(0, np.int64)

    def turn(self, span: Span, keys: Array, means: Array) -> None:
        """Go to window `span`, in which the clocks `keys` (sorted, distinct) run, with these mean times (s) between ticks."""
        self._base, before = span.start, self._keys
        self._keys = keys
        number, ticks = self._ahead
        where = np.searchsorted(keys, number)
        stays = np.isin(number, keys)
        fresh = np.flatnonzero(~np.isin(keys, before))
        following = Span(span.end, 2 * span.end - span.start)
        drawn = self._draw(np.arange(len(keys)), means, following)
        parts = [(where[stays], ticks[stays]), self._draw(fresh, means[fresh], span), drawn]
        words = [(index << _SHIFT) | (at - span.start) for index, at in parts]
        self._words = np.sort(np.concatenate(words))
        self._ahead = (keys[drawn[0]], drawn[1])

    def next(self, keys: Array, after: Array) -> Array:
        """The first tick of each clock at or after a time (ns), same shape as `after`; FAR when there is none before the end
        of the following window, or no such clock.
        """
        if not len(self._words):
            return np.full(after.shape, FAR)
        index = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        word = (index << _SHIFT) | np.clip(after - self._base, 0, (1 << _SHIFT) - 1)
        at = np.minimum(np.searchsorted(self._words, word), len(self._words) - 1)
        found = self._words[at]
        right = (found >> _SHIFT == index) & (found >= word) & (self._keys[index] == keys)
        return np.where(right, (found & ((1 << _SHIFT) - 1)) + self._base, FAR)

    def _draw(self, index: Array, means: Array, span: Span) -> tuple[Array, Array]:
        counts = self._rng.poisson(span.seconds / means)
        at = self._rng.integers(span.start, span.end, int(counts.sum()))
        return np.repeat(index, counts), at


def waits(rng: np.random.Generator, mean_s: float, count: int) -> Array:
    """Exponential waits in ns, int64."""
    return (rng.exponential(mean_s, count) * SECOND).astype(np.int64)
