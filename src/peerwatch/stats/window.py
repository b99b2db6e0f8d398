"""Sums over the last so many seconds of event time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from peerwatch.stats.packing import pack, unpack


class Window:
    """Sums of `width` numbers over the last `seconds` seconds; what is older falls out by itself.

    >>> window = Window(seconds=300, width=2)
    >>> window.update(1000, (5, 1))
    >>> window.update(1100, (7, 0))
    >>> window.value(1100), window.value(1300), window.value(1400)
    ([12, 1], [7, 0], [0, 0])
    """

    def __init__(self, seconds: int, width: int = 1) -> None:
        """Start empty."""
        self.seconds = seconds
        self._stamp = np.full(seconds, -1, np.int64)
        self._sums = np.zeros((seconds, width), np.int64)

    def update(self, second: int, values: Sequence[int]) -> None:
        """Add `values` to `second`; a second that has fallen out already is ignored."""
        place = second % self.seconds
        if self._stamp[place] > second:
            return
        if self._stamp[place] != second:
            self._stamp[place] = second
            self._sums[place] = 0
        self._sums[place] += np.asarray(values, np.int64)

    def value(self, second: int, since: int | None = None) -> list[int]:
        """Sums of the seconds up to `second`, from `since` on or as far back as the window reaches."""
        first = second - self.seconds + 1 if since is None else max(since, second - self.seconds + 1)
        inside = (self._stamp >= first) & (self._stamp <= second)
        return [int(total) for total in self._sums[inside].sum(axis=0)]

    def merge(self, other: Window) -> None:
        """Add what another window of the same shape saw."""
        for stamp, sums in zip(other._stamp.tolist(), other._sums, strict=True):
            if stamp >= 0:
                self.update(stamp, sums.tolist())

    def state(self) -> dict[str, Any]:
        """Everything, as JSON-able values."""
        return {"stamp": pack(self._stamp), "sums": pack(self._sums)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state()` of a window of the same shape."""
        self._stamp, self._sums = unpack(state["stamp"]), unpack(state["sums"])
