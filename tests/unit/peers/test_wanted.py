"""Transactions waited for: what becomes of requests is what going through them one by one says, bounds and all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest

from peerwatch.peers import wanted as module
from peerwatch.peers.stretch import Arrivals, Stretch
from peerwatch.peers.wanted import Asks, Wanted, match, salts

DUE, LATE = 50, 100


class Step(NamedTuple):
    """What happens: ask, answer or close, by which side, on which connection, about what."""

    what: str
    side: int
    slot: int
    item: int

    @property
    def key(self) -> int:
        """Of the request."""
        return self.item << 50 | self.slot << 4 | self.side


class Ask:
    """A request that waits."""

    def __init__(self, step: Step, at: int, number: int) -> None:
        """The `number`-th of its side, at event `at`."""
        self.step, self.at, self.number, self.told = step, at, number, False


Told = tuple[str, int, int, int]
"""What, of which side and slot (or answer and time of the request), and at which event."""


@pytest.fixture(autouse=True)
def _limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GETDATA_TX_INTERVAL", DUE)
    monkeypatch.setattr(module, "LATE", LATE)


def steps_of(seed: int, count: int) -> tuple[list[Step], np.ndarray]:
    """Events at random, and their times, some of them far apart. A connection that is closed says no more."""
    rng = np.random.default_rng(seed)
    steps, fresh = [], 3
    slots = list(range(fresh))
    for what in rng.choice(["ask", "answer", "close"], count, p=[0.55, 0.43, 0.02]).tolist():
        nth = int(rng.integers(3))
        steps.append(Step(what, int(rng.integers(2)), slots[nth], int(rng.integers(5))))
        if what == "close":
            slots[nth], fresh = fresh, fresh + 1
    return steps, np.cumsum(rng.choice([0, 1, 5, 60], count, p=[0.3, 0.5, 0.15, 0.05]))


def plainly(steps: list[Step], now: np.ndarray, capacity: int) -> list[Told]:
    """One by one."""
    waits: list[Ask] = []
    out: list[Told] = []
    asked = [0, 0]
    for at, step in enumerate(steps):
        for ask in list(waits):
            if now[at] > now[ask.at] + DUE and not ask.told:
                ask.told = True
                out.append(("overdue", ask.step.side, ask.step.slot, at))
            if now[at] > now[ask.at] + LATE:
                out.append(("forgotten", ask.step.side, ask.step.slot, at))
                waits.remove(ask)
        if step.what == "answer":
            hits = [ask for ask in waits if ask.step.key == step.key]
            out.append(("answer", at, int(now[hits[-1].at]) if hits else -1, at))
            waits = [ask for ask in waits if ask not in hits]
        if step.what == "close":
            waits = [ask for ask in waits if ask.step.slot != step.slot]
        if step.what == "ask":
            for ask in [a for a in waits if a.step.side == step.side and a.number == asked[step.side] - capacity]:
                out.append(("forgotten", step.side, ask.step.slot, at))
                waits.remove(ask)
            waits.append(Ask(step, at, asked[step.side]))
            asked[step.side] += 1
    return sorted(out) + sorted(("waits", a.step.side, a.at, int(a.told)) for a in waits)


def by_wanted(steps: list[Step], now: np.ndarray, capacity: int, size: int) -> Iterator[Told]:
    """In batches of so many, with a snapshot between them, after which connections have other slots."""
    wanted, moved = Wanted(capacity), 0
    for first in range(0, len(steps), size):
        part, clock = steps[first : first + size], now[first : first + size]
        stretch = Stretch(Arrivals({}, {}, clock, clock, first), 0, len(part))
        key = np.array([s.key for s in part], np.uint64)
        slot = np.array([s.slot + moved for s in part])
        asks = []
        for side in (0, 1):
            mine = np.array([i for i, s in enumerate(part) if (s.what, s.side) == ("ask", side)], np.int64)
            asks.append(Asks(key[mine], mine + first, clock[mine], clock[mine], slot[mine]))
        answers = np.array([i for i, s in enumerate(part) if s.what == "answer"], np.int64)
        closed = {s.slot + moved: first + i for i, s in enumerate(part) if s.what == "close"}
        found, became = wanted.take(stretch, (asks[0], asks[1]), (key[answers], answers + first), closed)
        yield from (("answer", a, t, a) for a, t in zip((answers + first).tolist(), found.tolist(), strict=True))
        for side, each in enumerate(became):
            for what, (slots, at) in (("overdue", each.overdue), ("forgotten", each.forgotten)):
                yield from ((what, side, s, t) for s, t in zip((slots - moved).tolist(), at.tolist(), strict=True))
        state = json.loads(json.dumps([side.saved(np.arange(10_000) - moved) for side in wanted.sides]))
        wanted, moved = Wanted(capacity), moved + 1
        for side, saved in zip(wanted.sides, state, strict=True):
            side.resume(saved, lambda peers, by=moved: peers + by)
    for number, side in enumerate(wanted.sides):
        for at, told in zip(side.asks.ordinal.tolist(), side.state.tolist(), strict=True):
            if told:
                yield ("waits", number, at, told - 1)


@pytest.mark.parametrize("capacity", [3, 8, 1000])
@pytest.mark.parametrize("size", [1, 5, 40, 1000])
def test_is_the_same_as_one_by_one(capacity: int, size: int) -> None:
    """Answers, time, closing and the bound, in any batches and through snapshots."""
    for seed in range(12):
        steps, now = steps_of(seed, 300)
        assert sorted(by_wanted(steps, now, capacity, size)) == sorted(plainly(steps, now, capacity)), seed


def test_who_is_let_go_or_excused() -> None:
    """Whose slot others get has asked for nothing; what is excused is never overdue, but it still has its answer."""
    clock = np.array([0, 0, 90, 90])
    wanted = Wanted(8)
    stretch, none = Stretch(Arrivals({}, {}, clock, clock, 0), 0, 2), np.zeros(0, np.int64)
    two = np.arange(2)
    asks = Asks(two.astype(np.uint64), two, clock[:2], clock[:2], two + 7)
    wanted.take(stretch, (asks, Asks.none()), (none.astype(np.uint64), none), {})
    wanted.drop(np.array([7]))
    wanted.excuse()
    later = Stretch(Arrivals({}, {}, clock, clock, 0), 2, 4)
    found, (became, _) = wanted.take(later, (Asks.none(), Asks.none()), (two.astype(np.uint64), two + 2), {})
    assert found.tolist() == [-1, 0]
    assert not len(became.overdue[0])
    wanted.take(stretch, (asks, Asks.none()), (none.astype(np.uint64), none), {})
    assert wanted.drop_all() == 2
    assert not any(len(side.asks) for side in wanted.sides)


def test_match() -> None:
    """The next answer with its key ends a request, and answers the last of those that it ends."""
    key = np.array([5, 5, 9, 5], np.uint64)
    then, by = match(key, np.array([1, 3, 3, 8]), np.array([5, 5, 7], np.uint64), np.array([3, 6, 4]))
    assert then.tolist() == [0, 0, -1, -1]
    assert by.tolist() == [1, -1, -1]


def test_salts_tell_apart() -> None:
    """Sides and peers have different ones."""
    assert len(np.unique(salts(np.arange(1000).repeat(2), np.tile([0, 1], 1000)))) == 2000
