"""The same input gives the same rows, findings and incidents, however it is cut into chunks, through the whole pipeline."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from peerwatch.app.pipeline import Pipeline, Settings
from peerwatch.schema.batch import SECOND
from peerwatch.sources._api import Chunk
from peerwatch.sources.capture import CaptureSource
from peerwatch.sources.simulation.simulation import Plan
from peerwatch.sources.simulation.source import SimulationSource
from tests.chunks import chunks_of, cut

START = 1_760_054_400 * SECOND
CAPTURES = sorted(p.parent for p in (Path(__file__).parents[1] / "data/captures").glob("*/expected.json"))
PLAN = Plan("addr-flood-2021", 3, START, 70 * SECOND, 0.2, {"start_s": 5, "duration_s": 30, "rate": 4, "peers": 3})
SUMMED = ("messages", "bytes", "errors")

Rows = dict[str, list[Any]]
size = pytest.mark.parametrize("events", [1, 7, 1000])


def outcome(chunks: Iterable[Chunk]) -> Rows:
    """All rows of all tables in order, `rate` as sums by (width, ts, inbound, type), which may be spread over more rows."""
    pipeline = Pipeline("alice", Settings(bytes(range(40)), START, {}))
    rows: Rows = {}
    sums: dict[tuple[int, int, bool, str], Counter[str]] = {}
    for each in [*(pipeline.feed(c) for c in chunks), pipeline.finish()]:
        for name, batch in [*each.rows.items(), *each.detected.items()]:
            batch.validate(full=True)
            if name != "rate":
                rows.setdefault(name, []).extend(batch.to_pylist())
                continue
            for r in batch.to_pylist():
                sums.setdefault((r["width"], r["ts"], r["inbound"], r["type"]), Counter()).update({n: r[n] for n in SUMMED})
    rows["rate"] = sorted((key, dict(value)) for key, value in sums.items())
    return rows


def same(whole: Rows, parts: Rows) -> None:
    """Both have the same tables and rows; says the first that differs."""
    assert parts.keys() == whole.keys()
    for name, expected in whole.items():
        found = parts[name]
        for i, (one, other) in enumerate(zip(expected, found, strict=False)):
            assert other == one, f"row {i} of {name}"
        assert len(found) == len(expected), name


@cache
def simulated() -> list[Chunk]:
    return chunks_of(SimulationSource.simulated(PLAN, "alice"))


@cache
def captured(capture: Path) -> list[Chunk]:
    return chunks_of(CaptureSource(capture, "alice"))


@cache
def whole_of(capture: Path | None) -> Rows:
    return outcome(simulated() if capture is None else captured(capture))


def test_there_is_something_to_compare() -> None:
    """The simulated attack is found, told and resolved, and every table that a node's traffic can fill has rows."""
    rows = whole_of(None)
    assert {r["state"] for r in rows["incident"] if r["kind"] == "addr_flood"} >= {"open", "updated"}
    assert {"message", "address", "version", "inventory", "ping", "connection", "rate", "finding"} <= rows.keys()
    assert len(CAPTURES) >= 10


@size
def test_a_simulated_attack(events: int) -> None:
    """A node under attack, seconds apart and many a second."""
    same(whole_of(None), outcome(cut(simulated(), events)))


@size
@pytest.mark.parametrize("capture", CAPTURES, ids=lambda p: p.name)
def test_a_capture(capture: Path, events: int) -> None:
    """Real traffic, with clocks that stand still and jump; of the long ones the beginning when it is cut very small."""
    beginning = list(cut(captured(capture), 300 * events))[:1]
    whole = whole_of(capture) if len(beginning[0].events) == len(captured(capture)[0].events) else outcome(beginning)
    chunks = captured(capture) if whole is whole_of(capture) else beginning
    same(whole, outcome(cut(chunks, events)))


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda p: p.name)
def test_every_message_of_a_capture_is_a_row(capture: Path) -> None:
    """Through the whole pipeline the counts are those that the node logged, in rows and in roll-ups."""
    expected = json.loads((capture / "expected.json").read_text())["counts"]
    rows = whole_of(capture)
    counts: dict[str, list[int]] = {}
    for row in rows["message"]:
        entry = counts.setdefault(f"{'in' if row['inbound'] else 'out'} {row['type']}", [0, 0])
        entry[0] += 1
        entry[1] += row["size"]
    assert counts == expected
    rolled: dict[str, list[int]] = {}
    for (_, _, inbound, kind), sums in rows["rate"]:
        entry = rolled.setdefault(f"{'in' if inbound else 'out'} {kind}", [0, 0])
        entry[0] += sums["messages"]
        entry[1] += sums["bytes"]
    assert rolled == expected
