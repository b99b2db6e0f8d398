"""When a node is asked what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest

from peerwatch.schema.batch import SECOND
from peerwatch.sources.rpc._api import Known, Request
from peerwatch.sources.rpc.registry import UPTIME, make_readers
from peerwatch.sources.rpc.schedule import GAP_NS, LONGEST_GAP_NS, LONGEST_PAUSE_NS, SHARE, STAGGER_NS, Schedule

MS = SECOND // 1000
A, B = Request("a", 10.0), Request("b", 60.0)


def played(schedule: Schedule, until: int, took: Callable[[str], int] = lambda _: MS, now: int = 0) -> list[tuple[int, str]]:
    """Calls with their times, when each takes so long."""
    calls = []
    while now < until:
        if request := schedule.due(now):
            calls.append((now, request.method))
            now += took(request.method)
            schedule.answered(request.method, took(request.method), now)
        else:
            now += max(1, round(schedule.wait_s(now) * SECOND))
    return calls


def of(calls: list[tuple[int, str]], method: str) -> list[int]:
    return [at for at, each in calls if each == method]


def test_first_calls_come_in_order_and_one_by_one() -> None:
    """A quarter of a second apart."""
    assert played(Schedule([B, A], {}, 0), 5 * SECOND) == [(0, "b"), (STAGGER_NS, "a")]


def test_a_method_is_called_at_its_interval_from_answer_to_request() -> None:
    """As often as the one that wants it most, or as is configured; never if that is 0."""
    calls = played(Schedule([A, Request("a", 20.0), B], {}, 0), 100 * SECOND)
    assert of(calls, "a") == [i * (10 * SECOND + MS) for i in range(10)]
    assert len(of(calls, "b")) == 2
    assert len(of(played(Schedule([Request("a", 20.0), A], {"a": 50.0}, 0), 99 * SECOND), "a")) == 2
    never = Schedule([A], {"a": 0, "c": 5.0}, 0)
    assert "a" not in never
    assert played(never, 10_000 * SECOND) == []
    assert never.wait_s(0) == 3600


def test_no_call_follows_another_at_once() -> None:
    """There is a gap, as long as the call before took, in bounds."""
    for took in (MS, 300 * MS, 20 * SECOND):
        calls = played(Schedule([Request(str(i), 0.001) for i in range(20)], {}, 0), 400 * SECOND, lambda _, t=took: t)
        gaps = {b - a - took for (a, _), (b, _) in pairwise(calls)}
        assert min(gaps) == min(max(took, GAP_NS), LONGEST_GAP_NS)


def test_a_method_has_its_share_of_the_time() -> None:
    """One that takes 5 s is called each 250 s, however often it is wanted; the others as before."""
    calls = played(Schedule([A, Request("heavy", 30.0)], {}, 0), 2000 * SECOND, lambda m: 5 * SECOND if m == "heavy" else MS)
    heavy = of(calls, "heavy")
    assert len(heavy) == 8
    assert min(b - a for a, b in pairwise(heavy)) >= SHARE * 5 * SECOND
    assert len(of(calls, "a")) >= 195


def test_a_single_late_answer_does_not_blind() -> None:
    """The faster of the last two answers counts."""
    late = iter([MS, 5 * SECOND, MS, MS, 5 * SECOND, 5 * SECOND, MS])
    schedule, now, waits = Schedule([A], {}, 0), 0, []
    for took in late:
        schedule.answered("a", took, now)
        waits.append(schedule.wait_s(now))
    assert waits == [10, 10, 10, 10, 10, 250, 10]


def test_a_method_that_fails_is_left_alone_for_twice_as_long_each_time() -> None:
    """Up to five minutes, or its interval; after an answer it is as before."""
    schedule, waits = Schedule([A, Request("rare", 1000.0)], {}, 0), []
    schedule.answered("rare", MS, 0)
    for _ in range(20):
        schedule.failed("a", MS, 0)
        waits.append(schedule.wait_s(0))
    assert waits[:6] == [20, 40, 80, 160, 300, 300]
    assert waits[-1] == LONGEST_PAUSE_NS / SECOND
    schedule.answered("a", MS, 0)
    assert schedule.wait_s(0) == 10
    schedule.drop("a")
    schedule.failed("rare", MS, 0)
    assert schedule.wait_s(0) == 1000


def test_what_is_dropped_is_not_called() -> None:
    """Nor is it missed."""
    schedule = Schedule([A, B], {}, 0)
    schedule.drop("a")
    schedule.drop("a")
    schedule.answered("a", MS, 0)
    schedule.failed("a", MS, 0)
    schedule.hurry("a", 0)
    assert schedule.request("a") is None
    assert {method for _, method in played(schedule, 100 * SECOND)} == {"b"}


def test_what_is_hurried_comes_first() -> None:
    """Also before what has been due for longer."""
    schedule = Schedule([A, B, Request("c", 5.0)], {}, 0)
    schedule.hurry("c", 99 * SECOND)
    due = schedule.due(99 * SECOND)
    assert due
    assert due.method == "c"


def test_after_an_absence_calls_come_bit_by_bit() -> None:
    """What became due meanwhile is asked a quarter of a second apart."""
    schedule = Schedule([Request(str(i), 10.0) for i in range(10)], {}, 0)
    played(schedule, 5 * SECOND)
    schedule.resume(1000 * SECOND)
    calls = played(schedule, 1009 * SECOND, now=1000 * SECOND)
    assert [at for at, _ in calls] == [1000 * SECOND + i * STAGGER_NS for i in range(10)]


def test_one_method_cannot_be_wanted_in_two_ways() -> None:
    """Answers go by method, so its parameters are the same for all."""
    with pytest.raises(TypeError, match="getx"):
        Schedule([Request("getx", 1.0), Request("getx", 1.0, (1,))], {}, 0)


def test_calls_of_an_hour() -> None:
    """By default 26 a minute, and the largest answers as seldom as Core bears them."""
    requests = [UPTIME, *(request for reader in make_readers(Known()) for request in reader.requests)]
    calls = Counter(method for _, method in played(Schedule(requests, {}, 0), 3600 * SECOND))
    assert 25 * 60 < sum(calls.values()) < 26 * 60
    assert calls["getrawaddrman"] == 12
    assert calls["getpeerinfo"] == 360
