"""Completeness of what was seen."""

from __future__ import annotations

import json

import pytest

from peerwatch.detect.sight import LOSSES, Sight
from peerwatch.schema.batch import Rows
from tests.builders import START, Stream, at


def sight(*losses: tuple[str, int, float, float, str | None]) -> Sight:
    """A hundred seconds of ten events each, and loss rows (kind, count, first, last, probe)."""
    result = Sight()
    for second in range(100):
        result.update(START + second, 10, None)
    stream = Stream()
    for kind, count, first, last, probe in losses:
        stream.loss(at(last), kind, count=count, first=at(first), probe=probe)
    if losses:
        result.update(START + 99, 0, Rows(stream.tables()["loss"]))
    return result


def test_all_seen():
    """Without loss everything was seen, in any time, also one without events."""
    assert sight().completeness(at(10), at(20)) == 1
    assert Sight().completeness(0, at(0)) == 1


@pytest.mark.parametrize("kind", ["dropped", "unreadable", "truncated", "gap"])
def test_lost_events_count_in_their_time(kind):
    """100 events lost in ten seconds beside 100 seen: half was seen then, and all was before."""
    seen = sight((kind, 100, 50, 59.9, "net:inbound_message"))
    assert seen.completeness(at(50), at(59.5)) == pytest.approx(0.5)
    assert seen.completeness(at(55), at(64.5)) == pytest.approx(100 / 150)
    assert seen.completeness(at(10), at(49.9)) == 1


def test_blind_time_counts_by_its_length():
    """Five of ten seconds without any sight."""
    assert sight(("gap", 0, 50, 54.9, None)).completeness(at(50), at(59.5)) == pytest.approx(0.5)
    assert sight(("blind", 0, 50, 59, "net:inbound_message")).completeness(at(50), at(59)) == 0


@pytest.mark.parametrize(
    "loss", [("blind", 0, 50, 59, "mempool:added"), ("clock", 9, 50, 59, None), ("dropped", 500, 50, 59, "archive")]
)
def test_what_does_not_count(loss):
    """Other probes, a clock that was set, and rows that only the archive lacks take nothing from what was seen."""
    assert sight(loss).completeness(at(50), at(59)) == 1


def test_bounded_and_restored():
    """Only the newest losses are remembered, and a restored sight says the same."""
    seen = sight(*[("dropped", 1, second % 100, second % 100, None) for second in range(LOSSES + 50)])
    other = Sight()
    other.restore(json.loads(json.dumps(seen.state())))
    assert len(other.state()["losses"]) == LOSSES
    assert other.completeness(at(0), at(99)) == seen.completeness(at(0), at(99)) < 1
