"""UTC for monotonic time stamps."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from peerwatch.schema.batch import SECOND
from peerwatch.sources.usdt.clock import STEP, UtcClock

OFFSET = 1_700_000_000 * SECOND


class Clocks:
    """Two clocks; reading the wall clock takes as long as the test says, once each."""

    def __init__(self) -> None:
        """Both stand at 100 s of uptime."""
        self.monotonic = 100 * SECOND
        self.offset = OFFSET
        self.delays: Iterator[tuple[int, int]] = iter(())

    def utc(self) -> int:
        """The wall clock, read between two delays."""
        before, after = next(self.delays, (0, 0))
        self.monotonic += before
        now = self.monotonic + self.offset
        self.monotonic += after
        return now

    def make(self) -> UtcClock:
        """A clock of these two."""
        return UtcClock(lambda: self.monotonic, self.utc)


def test_measures_when_made() -> None:
    """The offset is there from the start, and monotonic time is passed on."""
    clocks = Clocks()
    clock = clocks.make()
    assert clock.offset == OFFSET
    assert clock.now() == clocks.monotonic


def test_measures_once_a_second() -> None:
    """Within a second the offset stays as it is, whatever the wall clock does; after it, slewing is followed without a word."""
    clocks = Clocks()
    clock = clocks.make()
    clocks.offset += 400_000
    clocks.monotonic += SECOND - 1
    assert clock.update() == 0
    assert clock.offset == OFFSET
    clocks.monotonic += 1
    assert clock.update() == 0
    assert clock.offset == OFFSET + 400_000


@pytest.mark.parametrize("change", [STEP + 1, -STEP - 1, 3600 * SECOND, -3600 * SECOND])
def test_a_step_is_noticed_once(change: int) -> None:
    """A jump of the wall clock in either direction is returned by the measurement that sees it, and only by that one."""
    clocks = Clocks()
    clock = clocks.make()
    clocks.offset += change
    clocks.monotonic += SECOND
    assert clock.update() == change
    clocks.monotonic += SECOND
    assert clock.update() == 0
    assert clock.offset == OFFSET + change


@pytest.mark.parametrize("change", [STEP, -STEP])
def test_a_small_change_is_no_step(change: int) -> None:
    """Up to the limit the clock is being steered."""
    clocks = Clocks()
    clock = clocks.make()
    clocks.offset += change
    clocks.monotonic += SECOND
    assert clock.update() == 0


def test_the_least_disturbed_measurement_counts() -> None:
    """Being interrupted between the clocks, before or after the wall clock is read, does not spoil the offset."""
    clocks = Clocks()
    clocks.delays = iter([(SECOND, 0), (0, SECOND), (10, 10), (5 * SECOND, 0), (0, 50)])
    assert clocks.make().offset == OFFSET
