"""Which seconds are ticked while nothing happens.

Every second that has events is. After it, every second for ten minutes, then every whole minute for a day, then every whole day:
a pause of a week costs some two thousand ticks, not 600 thousand, and which seconds are ticked follows from the
time of the last event alone, however its rows and watermarks were batched.
"""

from __future__ import annotations

from collections.abc import Iterator

SECONDS_FOR = 600
MINUTE, MINUTES_FOR = 60, 86_400
DAY = 86_400


def idle_seconds(last_event: int, first: int, stop: int) -> Iterator[int]:
    """Seconds to tick in first … stop-1 when the last event came in second `last_event`, before `first`.

    >>> list(idle_seconds(0, 598, 800))
    [598, 599, 600, 660, 720, 780]
    """
    for step, until in ((1, last_event + SECONDS_FOR), (MINUTE, last_event + MINUTES_FOR), (DAY, stop)):
        start = -(-first // step) * step
        yield from range(start, min(until + 1, stop), step)
        first = max(first, until + 1)
