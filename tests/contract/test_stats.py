"""What every statistic has to hold: merging, neutrality of the empty one, state, bounds."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from peerwatch import stats
from peerwatch.schema.batch import SECOND, Array
from peerwatch.stats.baseline import Baseline
from peerwatch.stats.histogram import Histograms
from peerwatch.stats.keyed import REFUSED, Keyed, Merge
from peerwatch.stats.spacing import Spacing
from peerwatch.stats.token_bucket import TokenBuckets
from peerwatch.stats.window import Window

Rows = tuple[Array, Array, Array]
"""Keys, times (ns) and amounts."""


@dataclass(frozen=True)
class Case:
    """How one statistic is made, fed with rows and read; `shard` tells how rows are dealt to two shards."""

    make: Callable[[], Any]
    feed: Callable[[Any, Rows], None]
    read: Callable[[Any], Any]
    shard: str
    within: float = 0
    """Relative error of a merge that depends on order; 0 where merging is exact."""


class OnKeys:
    """A statistic together with the keys that it belongs to."""

    def __init__(self, attach: Callable[[Keyed], Any]) -> None:
        """Attach the statistic to keys of its own."""
        self.keyed = Keyed(1000)
        self.statistic = attach(self.keyed)
        self.merge = lambda other: self.keyed.merge(other.keyed)
        self.state, self.restore = self.keyed.state, self.keyed.restore


def _locate(on: OnKeys, rows: Rows) -> tuple[Array, Rows]:
    slots = on.keyed.locate(rows[0], rows[1])
    kept = slots != REFUSED
    return slots[kept], (rows[0][kept], rows[1][kept], rows[2][kept])


def _feed_buckets(on: OnKeys, rows: Rows) -> None:
    for second in np.unique(rows[1] // SECOND).tolist():
        inside = rows[1] // SECOND == second
        slots, kept = _locate(on, (rows[0][inside], rows[1][inside], rows[2][inside]))
        distinct, index = np.unique(slots, return_inverse=True)
        on.statistic.spend(distinct, second, np.bincount(index, kept[2]).astype(np.int64) if len(index) else index)


def _feed_spacing(on: OnKeys, rows: Rows) -> None:
    slots, kept = _locate(on, rows)
    on.statistic.update(slots, kept[1])


def _feed_histograms(on: OnKeys, rows: Rows) -> None:
    slots, kept = _locate(on, rows)
    on.statistic.update(slots, kept[2])


def _feed_keyed(keyed: Keyed, rows: Rows) -> None:
    slots = keyed.locate(rows[0], rows[1])
    np.add.at(keyed["n"], slots[slots != REFUSED], rows[2][slots != REFUSED])


def _feed_window(window: Window, rows: Rows) -> None:
    for ts, amount in zip(rows[1].tolist(), rows[2].tolist(), strict=True):
        window.update(ts // SECOND, (amount,))


def _feed_baseline(baseline: Baseline, rows: Rows) -> None:
    for amount in rows[2].tolist():
        baseline.learn(amount, 5)


def _keyed() -> Keyed:
    keyed = Keyed(1000)
    keyed.column("n", np.int64)
    return keyed


def _table(on: OnKeys, values: Callable[[Array], Array]) -> dict[int, Any]:
    slots = on.keyed.slots()
    return dict(zip(on.keyed["key"][slots].tolist(), values(slots).tolist(), strict=True))


CASES = {
    Keyed: Case(
        _keyed, _feed_keyed, lambda k: dict(zip(k["key"][k.slots()].tolist(), k["n"][k.slots()].tolist(), strict=True)), "row"
    ),
    TokenBuckets: Case(
        lambda: OnKeys(lambda k: TokenBuckets(k, "b", rate=0.1, cap=100, start=1)),
        _feed_buckets,
        lambda on: _table(on, on.statistic.beyond),
        "key",
    ),
    Spacing: Case(lambda: OnKeys(lambda k: Spacing(k, "s")), _feed_spacing, lambda on: _table(on, on.statistic.variation), "key"),
    Histograms: Case(
        lambda: OnKeys(lambda k: Histograms(k, "h", 10)), _feed_histograms, lambda on: _table(on, on.statistic.counts), "row"
    ),
    Window: Case(lambda: Window(500), _feed_window, lambda w: w.value(600), "row"),
    Baseline: Case(
        lambda: Baseline(mean=1, sizes=(1, 50), trust=5, memory=1e6),
        _feed_baseline,
        lambda b: [b.mean, b.size],
        "row",
        within=0.05,
    ),
}
NAMES = sorted(CASES, key=lambda c: c.__name__)


def rows(seed: int, n: int = 2000, keys: int = 60) -> Rows:
    """Random rows in order of time."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, keys, n), np.sort(rng.integers(0, 600 * SECOND, n)), rng.integers(0, 10, n)


def shards(data: Rows, how: str) -> list[Rows]:
    """The rows dealt to two shards: each key to one, or row by row."""
    odd = (data[0] if how == "key" else np.arange(len(data[0]))) % 2 == 1
    return [tuple(part[chosen] for part in data) for chosen in (~odd, odd)]  # type: ignore[misc]


def fed(case: Case, *parts: Rows) -> Any:
    """A statistic that has seen these rows."""
    statistic = case.make()
    for part in parts:
        case.feed(statistic, part)
    return statistic


def test_every_statistic_has_a_case():
    """A class that is not listed here would not be tested."""
    found = set()
    for info in pkgutil.iter_modules(stats.__path__):
        module = importlib.import_module(f"peerwatch.stats.{info.name}")
        found |= {
            v
            for v in vars(module).values()
            if isinstance(v, type) and v.__module__ == module.__name__ and not v.__name__.startswith("_")
        }
    assert found - {Merge} == set(CASES)


@pytest.mark.parametrize("cls", NAMES)
def test_merged_shards_equal_one_that_saw_all(cls):
    """What two shards saw, merged either way, is what one saw that saw everything."""
    case, data = CASES[cls], rows(1)
    whole = case.read(fed(case, data))
    for order in (0, 1):
        both = [fed(case, part) for part in shards(data, case.shard)]
        both[order].merge(both[1 - order])
        merged = case.read(both[order])
        assert merged == (pytest.approx(whole, rel=case.within) if case.within else whole)


@pytest.mark.parametrize("cls", NAMES)
def test_empty_is_neutral(cls):
    """Merging with one that has seen nothing changes nothing, either way."""
    case = CASES[cls]
    for empty_first in (True, False):
        pair = [fed(case, rows(2)), case.make()]
        first, second = reversed(pair) if empty_first else pair
        expected = case.read(fed(case, rows(2)))
        first.merge(second)
        assert case.read(first) == expected


@pytest.mark.parametrize("cls", NAMES)
def test_state_round_trip(cls):
    """Restored through JSON it says the same, and goes on to say the same."""
    case, other = CASES[cls], CASES[cls].make()
    statistic = fed(case, rows(3))
    other.restore(json.loads(json.dumps(statistic.state())))
    assert case.read(other) == case.read(statistic)
    later = tuple(part + shift for part, shift in zip(rows(4), (0, 600 * SECOND, 0), strict=True))
    for each in (statistic, other):
        case.feed(each, later)
    assert other.state() == statistic.state()


@pytest.mark.parametrize("cls", NAMES)
def test_size_is_bounded(cls):
    """10^6 distinct keys leave no more behind than the capacity's worth."""
    case, statistic = CASES[cls], CASES[cls].make()
    n = 1_000_000 if cls not in (Window, Baseline) else 20_000
    case.feed(statistic, (np.arange(n), np.linspace(0, 5 * SECOND, n).astype(np.int64), np.ones(n, np.int64)))
    assert len(json.dumps(statistic.state())) < 200_000
    keyed = statistic if cls is Keyed else getattr(statistic, "keyed", None)
    if keyed is not None:
        assert len(keyed) == 1000
        assert keyed.refused == n - 1000
