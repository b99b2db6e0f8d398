"""Requests and answers: what a matcher makes of them is what going through them one by one does, bounds and all."""

from __future__ import annotations

import json
from collections import OrderedDict

import numpy as np
import pytest

from peerwatch.peers import matcher as matcher_module
from peerwatch.peers.matcher import MOST, Matcher
from peerwatch.peers.requests import Answers, Requests, Why, keys
from peerwatch.peers.stretch import Arrivals, Stretch

UNTIL = np.array([50, 100])
Step = tuple[str, int, int, int, int]
"""ask, answer or close; peer, side, kind, item."""
Told = tuple[str, int, int, int]
"""What became of a request, its ordinal, when, and by which answer's ordinal."""


def steps_of(seed: int, count: int) -> tuple[list[Step], np.ndarray]:
    """Events at random, and their times, some of them far apart."""
    rng = np.random.default_rng(seed)
    what = rng.choice(["ask", "answer", "close"], count, p=[0.5, 0.48, 0.02]).tolist()
    parts = [rng.integers(0, most, count).tolist() for most in (3, 2, 2, 6)]
    return list(zip(what, *parts, strict=True)), np.cumsum(rng.choice([0, 1, 5, 60], count, p=[0.3, 0.5, 0.15, 0.05]))


def plainly(steps: list[Step], now: np.ndarray, capacity: int) -> list[Told]:
    """One by one."""
    waits: OrderedDict[tuple[int, ...], list[int]] = OrderedDict()  # key: ordinal, kind, number
    numbers, out = [0, 0], []
    for at, (what, peer, side, kind, item) in enumerate(steps):
        for key, (asked, of, _) in list(waits.items()):
            if now[at] > now[asked] + UNTIL[of]:
                out.append(("unanswered", asked, at, -1))
                del waits[key]
        key = (peer, side, kind, item)
        if what == "answer" and key in waits:
            out.append(("answered", waits.pop(key)[0], at, at))
        if what == "ask":
            if key in waits:
                out.append(("superseded", waits.pop(key)[0], at, -1))
            for other, (asked, _, number) in list(waits.items()):
                if other[1] == side and number == numbers[side] - capacity:
                    out.append(("forgotten", asked, at, -1))
                    del waits[other]
            waits[key] = [at, kind, numbers[side]]
            numbers[side] += 1
        if what == "close":
            out += [("closed", waits.pop(other)[0], at, -1) for other in [k for k in waits if k[0] == peer]]
    return sorted(out) + sorted(("waits", asked, of, -1) for asked, of, _ in waits.values())


def by_matcher(steps: list[Step], now: np.ndarray, capacity: int, size: int) -> list[Told]:
    """In batches of so many, with a snapshot between them."""
    matcher, out = Matcher(capacity, UNTIL), []
    for first in range(0, len(steps), size):
        part = steps[first : first + size]
        clock = now[first : first + size]
        stretch = Stretch(Arrivals({}, {}, clock, clock, first), 0, len(part))
        asks, answers = ([i for i, s in enumerate(part) if s[0] == what] for what in ("ask", "answer"))
        columns = np.array([s[1:] for s in part], np.int64)
        key = keys(columns[:, 0], columns[:, 1], (columns[:, 2] * 100 + columns[:, 3]).astype(np.uint64))
        ordinal = np.arange(first, first + len(part))
        peer, side, kind = (columns[asks, i] for i in range(3))
        requests = Requests(key[asks], ordinal[asks], clock[asks], ordinal[asks], peer, side, kind, clock[asks])
        closed: dict[int, int] = {}
        for i, step in enumerate(part):
            if step[0] == "close":
                closed.setdefault(step[1], first + i)
        for ended, lost in matcher.run(stretch, requests, Answers(key[answers], ordinal[answers]), closed):
            by = [ordinal[answers][a] if a >= 0 else -1 for a in ended.answer.tolist()]
            asked = ended.requests.ordinal.tolist()
            out += [
                (Why(w).name.lower(), a, t, b)
                for w, a, t, b in zip(ended.why.tolist(), asked, ended.at.tolist(), by, strict=True)
            ]
            out += [("lost", -1, t, -1) for t in lost[2].tolist()]
        state = json.loads(json.dumps(matcher.state()))
        matcher = Matcher(capacity, UNTIL)
        matcher.restore(state)
    waiting = matcher.waiting()
    left = zip(waiting.ordinal.tolist(), waiting.kind.tolist(), strict=True)
    assert matcher.forgotten == sum(what in ("lost", "forgotten") for what, *_ in out)
    return sorted(out) + sorted(("waits", a, k, -1) for a, k in left)


def alike(told: list[Told]) -> list[Told]:
    """A request forgotten is told with its columns or without."""
    return sorted(("lost", -1, row[2], -1) if row[0] == "forgotten" else row for row in told)


@pytest.mark.parametrize("capacity", [3, 8, 1000])
@pytest.mark.parametrize("size", [1, 5, 40, 1000])
def test_is_the_same_as_one_by_one(capacity: int, size: int) -> None:
    """Answers, supersession, time, closing and the bound, in any batches; requests of one connection may close only once."""
    for seed in range(12):
        steps, now = steps_of(seed, 300)
        closed: set[int] = set()
        for i, step in enumerate(steps):  # a connection that is closed says no more
            if step[1] in closed:
                steps[i] = ("answer", step[1] + 100 + i, *step[2:])
            elif step[0] == "close":
                closed.add(step[1])
        assert alike(by_matcher(steps, now, capacity, size)) == alike(plainly(steps, now, capacity)), seed


def test_more_than_fit_into_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch with more requests and answers than can be told apart is taken in pieces, and gives the same."""
    steps, now = steps_of(7, 400)
    steps = [s for s in steps if s[0] != "close"]
    whole = by_matcher(steps, now[: len(steps)], 4, 1000)
    monkeypatch.setattr(matcher_module, "PLACE_BITS", 5)
    monkeypatch.setattr(matcher_module, "_PLACE", 31)
    assert alike(by_matcher(steps, now[: len(steps)], 4, 1000)) == alike(whole)


def test_capacity_is_checked() -> None:
    """None at all, or more than leaves room for new requests, is refused."""
    for capacity in (0, MOST + 1):
        with pytest.raises(ValueError, match="a matcher holds between 1 and"):
            Matcher(capacity, UNTIL)


def test_drop_all() -> None:
    """Everything that waited is given back, and then nothing waits."""
    clock = np.array([1, 2])
    stretch = Stretch(Arrivals({}, {}, clock, clock, 0), 0, 2)
    matcher = Matcher(8, UNTIL)
    two = np.arange(2)
    requests = Requests(two.astype(np.uint64), two, clock, two, two, two, two, clock)
    list(matcher.run(stretch, requests, Answers(np.zeros(0, np.uint64), np.zeros(0, np.int64)), {}))
    assert len(matcher) == 2
    assert sorted(matcher.drop_all().peer.tolist()) == [0, 1]
    assert len(matcher) == 0
