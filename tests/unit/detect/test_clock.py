"""Which seconds are ticked."""

from __future__ import annotations

import pytest

from peerwatch.detect.clock import idle_seconds

LAST = 1_626_000_123


@pytest.mark.parametrize("step", [1, 59, 61, 3599, 100_000])
def test_ticks_do_not_depend_on_steps(step):
    """The clock may come in any steps: the same seconds are ticked."""
    stop = LAST + 300_000
    whole = list(idle_seconds(LAST, LAST + 1, stop))
    parts = [s for first in range(LAST + 1, stop, step) for s in idle_seconds(LAST, first, min(first + step, stop))]
    assert parts == whole


def test_resolution_falls_with_time():
    """Seconds for ten minutes, minutes for a day, days after that; in order, each once."""
    ticks = list(idle_seconds(LAST, LAST + 1, LAST + 10 * 86_400))
    assert ticks == sorted(set(ticks))
    assert ticks[:600] == list(range(LAST + 1, LAST + 601))
    minutes = [t for t in ticks[600:] if t <= LAST + 86_400]
    assert {t % 60 for t in minutes} == {0}
    assert len(minutes) == 86_400 // 60 - 10
    assert {t % 86_400 for t in ticks if t > LAST + 86_400} == {0}


def test_years_are_cheap():
    """Fifty years of silence are twenty thousand ticks."""
    assert sum(1 for _ in idle_seconds(LAST, LAST + 1, LAST + 50 * 365 * 86_400)) < 21_000
