"""Poisson clocks."""

from __future__ import annotations

import numpy as np

from peerwatch.schema.batch import SECOND
from peerwatch.sources.simulation.clocks import Clocks
from peerwatch.sources.simulation.model import FAR, MINUTE
from peerwatch.sources.simulation.peers import Span
from tests.unit.sources.simulation.seen import START, column, rng


def ticks(clocks: Clocks, key: int, after: int) -> list[int]:
    """All ticks that a clock knows of."""
    out = []
    while (at := int(clocks.next(column([key]), column([after]))[0])) != FAR:
        out.append(at)
        after = at + 1
    return out


def test_ticks_stay_when_time_goes_on() -> None:
    """What was said of the next window is still true in it, although other clocks came and went."""
    clocks = Clocks(rng())
    first, second = Span(START, START + MINUTE), Span(START + MINUTE, START + 2 * MINUTE)
    clocks.turn(first, column([3, 8]), np.array([2.0, 5.0]))
    before = [t for t in ticks(clocks, 8, START) if t >= second.start]
    clocks.turn(second, column([1, 8, 20]), np.array([1.0, 5.0, 3.0]))

    assert before
    assert [t for t in ticks(clocks, 8, second.start) if t < second.end] == before
    assert any(t < second.end for t in ticks(clocks, 20, second.start))


def test_the_next_tick_is_the_first_at_or_after() -> None:
    """A tick itself is found, a nanosecond later the one after it; another shape gives that shape."""
    clocks = Clocks(rng())
    clocks.turn(Span(START, START + MINUTE), column([4, 6]), np.array([1.0, 1.0]))
    known = ticks(clocks, 6, START)

    assert clocks.next(column([6]), column([known[3]])).tolist() == [known[3]]
    assert clocks.next(column([6]), column([known[3] + 1])).tolist() == [known[4]]
    assert clocks.next(column([4, 6])[None, :], np.full((5, 2), START)).shape == (5, 2)


def test_there_is_no_tick_beyond_the_next_window_or_of_another_clock() -> None:
    """FAR then, and with no clock at all."""
    clocks = Clocks(rng())
    assert clocks.next(column([1]), column([START])).tolist() == [FAR]
    clocks.turn(Span(START, START + MINUTE), column([4, 6]), np.array([1.0, 1.0]))

    assert clocks.next(column([4, 5, 6]), column([START + 2 * MINUTE] * 3)).tolist() == [FAR] * 3
    assert clocks.next(column([5]), column([START])).tolist() == [FAR]


def test_waits_are_exponential() -> None:
    """Mean and standard deviation of the intervals are the clock's mean, over many windows."""
    clocks, known = Clocks(rng()), []
    for n in range(120):
        span = Span(START + n * MINUTE, START + (n + 1) * MINUTE)
        clocks.turn(span, column([7]), np.array([2.0]))
        known += [t for t in ticks(clocks, 7, span.start) if t < span.end]
    gaps = np.diff(known) / SECOND

    assert abs(gaps.mean() - 2.0) < 0.15
    assert abs(gaps.std() - 2.0) < 0.2
