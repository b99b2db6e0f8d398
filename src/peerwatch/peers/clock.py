"""The clock of event time: the latest time of any event so far, in order of arrival.

It is set back by a `loss` row of kind clock from more than two seconds before (the detector runner does the same), and by an
event from more than a day before: then the time that the clock had reached was not true.
"""

from __future__ import annotations

import numpy as np

from peerwatch.schema.batch import SECOND, Array

SET_BACK_S = 2
"""A clock row more than so many seconds before the present second sets the clock back."""

WRONG_NS = 86_400 * SECOND
"""An event so long before the clock says that the clock is wrong."""


class Clock:
    """Time of the last event, ns; None before the first."""

    def __init__(self) -> None:
        """Start before any event."""
        self.now: int | None = None

    def run(self, events: Array, steps: Array) -> tuple[Array, list[int]]:
        """Take times of events, and the indices of those that come with a clock row.

        Returns:
            What the clock says at each event, and the indices at which it was set back.
        """
        if not len(steps) and self.now is not None and self.now <= int(events[0]) and bool((events[1:] >= events[:-1]).all()):
            self.now = int(events[-1])
            return events, []  # as nearly always
        now = np.empty(len(events), np.int64)
        cuts: list[int] = []
        first, wanted = 0, sorted(set(steps.tolist()))
        while first < len(events):
            stop = next((s for s in wanted if s > first), len(events))
            start = int(events[first]) if self.now is None else self.now
            if first in wanted and int(events[first]) // SECOND < start // SECOND - SET_BACK_S:
                start = int(events[first])
                cuts.append(first)
            clock = np.maximum.accumulate(np.maximum(events[first:stop], start))
            wrong = np.flatnonzero(events[first:stop] < clock - WRONG_NS)
            if len(wrong):
                stop = first + int(wrong[0])
                if stop == first:
                    cuts.append(first)
                    self.now = int(events[first])
                    continue
            now[first:stop] = clock[: stop - first]
            self.now = int(now[stop - 1])
            first = stop
        return now, cuts
