"""How regular events of many keys come: the coefficient of variation of the time between them."""

from __future__ import annotations

import numpy as np

from peerwatch.schema.batch import SECOND, Array
from peerwatch.stats.keyed import Keyed, Merge

UNIT_NS = 100_000
"""Gaps are kept in steps of 0.1 ms, as integers: sums are then exact, and so the same however rows were batched."""

LONGEST_S = 600
"""Longer gaps count as this long."""


class Spacing:
    """Times between events of a key: 0 when they come like clockwork, 1 when they are a Poisson process, more when in bursts.

    >>> keyed = Keyed(10)
    >>> spacing = Spacing(keyed, "gaps")
    >>> ts = np.arange(0, 50, 5) * SECOND
    >>> spacing.update(keyed.locate(np.full(10, 3), ts), ts)
    >>> spacing.variation(np.array([keyed.slot(3)])).tolist()
    [0.0]
    """

    def __init__(self, keyed: Keyed, name: str) -> None:
        """Add the columns `<name>.last` (ns), `<name>.n`, `<name>.sum` and `<name>.squares`."""
        self._keyed = keyed
        self._last, self._n, self._sum, self._squares = (f"{name}.{part}" for part in ("last", "n", "sum", "squares"))
        keyed.column(self._last, np.int64, initial=-1, merge=Merge.MAX)
        keyed.column(self._n, np.int64)
        keyed.column(self._sum, np.int64)
        keyed.column(self._squares, np.int64)

    def update(self, slots: Array, ts: Array) -> None:
        """Events in order of arrival, at `ts` (ns) for the keys in `slots`."""
        if not len(slots):
            return
        order = np.argsort(slots, kind="stable")
        slot, time = slots[order], ts[order]
        starts = np.flatnonzero(np.concatenate(([True], slot[1:] != slot[:-1])))
        groups = slot[starts]
        before = np.empty_like(time)
        before[1:] = time[:-1]
        before[starts] = self._keyed[self._last][groups]
        gap = np.clip((time - before) // UNIT_NS, 0, LONGEST_S * SECOND // UNIT_NS)
        counted = before >= 0
        gap[~counted] = 0
        self._keyed[self._n][groups] += np.add.reduceat(counted.astype(np.int64), starts)
        self._keyed[self._sum][groups] += np.add.reduceat(gap, starts)
        self._keyed[self._squares][groups] += np.add.reduceat(gap * gap, starts)
        self._keyed[self._last][groups] = time[np.append(starts[1:], len(time)) - 1]

    def count(self, slots: Array) -> Array:
        """Gaps seen."""
        return np.asarray(self._keyed[self._n][slots])

    def variation(self, slots: Array) -> Array:
        """Standard deviation over mean of the gaps; infinite where there is none, or all are 0."""
        n, total = self.count(slots).astype(float), self._keyed[self._sum][slots].astype(float)
        squares = self._keyed[self._squares][slots].astype(float)
        spread = np.sqrt(np.maximum(n * squares - total * total, 0))
        return np.asarray(np.divide(spread, total, out=np.full(len(slots), np.inf), where=total > 0))

    def halve(self, slots: Array) -> None:
        """Let what was seen so far weigh half, so that a change shows."""
        for name in (self._n, self._sum, self._squares):
            self._keyed[name][slots] //= 2
