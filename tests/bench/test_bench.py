"""Every benchmark works: run in its shortest form, it prints its figures."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[2]))  # benchmarks are not installed

from bench import report, run
from bench.figures import Budget, Figure

ROOT = Path(__file__).parents[2]

KERNEL = {"cost", "throughput", "memory", "loss", "latency", "node"}
"""Topics that trace."""

BUDGETED = {
    "cost": 5,
    "throughput": 3,
    "dissect": 2,
    "wire": 1,
    "store": 2,
    "query": 6,
    "memory": 4,
    "loss": 2,
    "latency": 2,
    "imports": 3,
    "addrman": 5,
    "log": 1,
    "node": 1,
}
"""Figures of each topic that have a budget."""


def figures(*options: str) -> list[dict[str, Any]]:
    """What a run prints as JSON."""
    command = [sys.executable, str(ROOT / "bench/run.py"), "--quick", "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240, cwd="/")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(topic: str) -> list[dict[str, Any]]:
    """Run a topic; its figures are numbers, and those with a budget are held against it."""
    found = figures(topic)
    assert {f["topic"] for f in found} == {topic}
    assert len({f["name"] for f in found}) == len(found)
    for figure in found:
        assert figure["values"]
        assert all(math.isfinite(v) for v in figure["values"])
        assert figure["best"] in figure["values"]
    assert sum("must" in f for f in found) == BUDGETED[topic]
    return found


@pytest.mark.parametrize("topic", sorted(set(run.TOPICS) - KERNEL))
def test_a_topic_gives_its_figures(topic: str) -> None:
    """Those that need no rights; every quantity is above zero."""
    assert all(f["best"] > 0 for f in check(topic))


@pytest.mark.kernel
@pytest.mark.parametrize("topic", sorted(KERNEL))
def test_a_topic_that_traces_gives_its_figures(topic: str) -> None:
    """Those that attach to the kernel; what must not be lost is there."""
    if os.geteuid() != 0:
        pytest.skip("attaching to the kernel needs root")
    found = {f["name"]: f["best"] for f in check(topic)}
    if topic == "loss":
        assert found["messages fired"] == found["messages recorded"] + found["messages dropped and declared"] > 0
    if topic == "cost":
        assert found["250 bytes: traced / no-op probe"] > 1


def test_the_topics_are_the_modules() -> None:
    """Every module of bench/topics is run, and has a place in the document."""
    assert {p.stem for p in (ROOT / "bench/topics").glob("*.py")} == set(run.TOPICS) == BUDGETED.keys()
    document = report.DOCUMENT.read_text()
    assert [name for name in run.TOPICS if f"<!-- figures: {name} -->" not in document] == []


def test_figures_are_held_against_their_budgets() -> None:
    """Of a duration the least counts and must be at most the bound; of a rate the greatest, which must be at least that."""
    duration = Figure("a", "s", [3.0, 1.5, 2.0], Budget(1.6, 1.0))
    rate = Figure("b", "1/s", [10.0, 30.0], Budget(30.0, 40.0), is_rate=True)
    assert (duration.best, duration.median, rate.best, rate.median) == (1.5, 2.0, 30.0, 20.0)
    lines = report.table([duration, rate]).splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["a", "1.5", "s", "2", "s", "3", "≤", "1.6", "met", "≤", "1", "NOT", "MET"],
        ["b", "30", "1/s", "20", "1/s", "2", "≥", "30", "met", "≥", "40", "NOT", "MET"],
    ]


def test_a_topic_is_put_between_its_marks(tmp_path: Path) -> None:
    """Nothing else in the document changes, and one without the marks is refused."""
    document = tmp_path / "page.md"
    document.write_text("one\n<!-- figures: x -->\nold\n<!-- end -->\ntwo\n<!-- figures: y -->\n<!-- end -->\n")
    report.write("x", report.markdown([Figure("a", "s", [1.0])]), document)
    text = document.read_text()
    assert "| a | 1 s | 1 s | 1 |  |  |" in text
    assert "old" not in text
    assert text.startswith("one\n")
    assert text.endswith("<!-- end -->\ntwo\n<!-- figures: y -->\n<!-- end -->\n")
    with pytest.raises(ValueError, match="figures: z"):
        report.write("z", "", document)
