"""UTC for the kernel's monotonic time stamps."""

from __future__ import annotations

import time
from collections.abc import Callable

from peerwatch.schema.batch import SECOND

STEP = 50_000_000
"""ns; the offset changing by more than this is a step of the wall clock, not its steering (NTP slews at most 0.5 ms a second)."""


class UtcClock:
    """Measures UTC minus CLOCK_MONOTONIC once a second, and notices steps."""

    def __init__(self, monotonic: Callable[[], int] = time.monotonic_ns, utc: Callable[[], int] = time.time_ns) -> None:
        """Measure for the first time; the clocks are parameters for tests."""
        self._monotonic = monotonic
        self._utc = utc
        self.offset = self._measure()
        self._measured = monotonic()

    def now(self) -> int:
        """Monotonic time, ns."""
        return self._monotonic()

    def update(self) -> int:
        """Measure again if a second has passed. Returns the step in ns when there was one, else 0."""
        if self._monotonic() - self._measured < SECOND:
            return 0
        before, self.offset = self.offset, self._measure()
        self._measured = self._monotonic()
        change = self.offset - before
        return change if abs(change) > STEP else 0

    def _measure(self) -> int:
        # The pair with the shortest time between its ends has been disturbed least.
        best = None
        for _ in range(5):
            before = self._monotonic()
            utc = self._utc()
            after = self._monotonic()
            if best is None or after - before < best[0]:
                best = (after - before, utc - (before + after) // 2)
        assert best is not None  # noqa: S101 - the loop ran
        return best[1]
