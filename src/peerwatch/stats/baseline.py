"""What is normal for a count, learned from counts before, and how unlikely a new one is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from peerwatch.stats.tails import negative_binomial

LARGEST = 3.0
"""A count is learned as at most so many times what was expected: a burst must not become normal at once."""

DOUBTED = 0.1
"""Weight of a count that is not believed: what lasts becomes normal in days, not in hours."""


class Baseline:
    """Over-dispersed counts per exposure: a negative binomial whose mean and size follow the last `memory` counts.

    Before it has learned anything it believes its prior, with the weight of `trust` counts, so it needs no warm-up. `size` stays
    within `sizes`: from the smallest (counts vary much) to the largest.

    >>> baseline = Baseline(mean=4.5, sizes=(5, 50), trust=12, memory=288)
    >>> baseline.tail(count=450, exposure=100) > 0.1
    True
    >>> baseline.tail(count=2700, exposure=100) < 1e-6
    True
    """

    def __init__(self, *, mean: float, sizes: tuple[float, float], trust: float, memory: float) -> None:
        """Start with the prior: `mean` an exposure of one, and the smallest of `sizes`."""
        self._prior = mean
        self._sizes = sizes
        self._trust = trust
        self._keep = 1 - 1 / memory
        self._weight = 0.0
        self._relative = 0.0
        self._spread = 0.0

    @property
    def mean(self) -> float:
        """Expected count for an exposure of one."""
        return self._prior * (self._trust + self._relative) / (self._trust + self._weight)

    @property
    def size(self) -> float:
        """Size of the negative binomial: variance = mean + mean² / size."""
        low, high = self._sizes
        inverse = (self._trust / low + self._spread) / (self._trust + self._weight)
        return high if inverse * high <= 1 else max(low, 1 / inverse)

    def tail(self, count: int, exposure: float) -> float:
        """Probability of at least this count when all is normal."""
        return negative_binomial(count, self.mean * exposure, self.size)

    def learn(self, count: int, exposure: float, *, believed: bool = True) -> None:
        """Take a count as normal. One that is not `believed` moves the mean a tenth as much, and the spread not at all."""
        expected = self.mean * exposure
        if expected <= 0:
            return
        ratio = min(count / expected, LARGEST)
        weight = 1.0 if believed else DOUBTED
        spread = max((ratio - 1) ** 2 - 1 / expected, 0.0) if believed else 1 / self.size
        self._relative = self._relative * self._keep + weight * ratio * self.mean / self._prior
        self._spread = self._spread * self._keep + weight * spread
        self._weight = self._weight * self._keep + weight

    def merge(self, other: Baseline) -> None:
        """Add what another baseline with the same prior learned."""
        self._relative += other._relative
        self._spread += other._spread
        self._weight += other._weight

    def state(self) -> dict[str, Any]:
        """What was learned, as JSON-able values."""
        return {"weight": self._weight, "relative": self._relative, "spread": self._spread}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state()`."""
        self._weight, self._relative, self._spread = state["weight"], state["relative"], state["spread"]
