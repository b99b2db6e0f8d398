"""Rows in, rows out: traffic of all types, one message in a hundred broken, and every single one accounted for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))  # benchmarks are not installed

from bench.alone import alone
from tests.reference.decode import layouts
from tests.soak.traffic_run import Outcome, run

SHORT, LONG = 100_000, 10_000_000
PEAK_MB = 700
"""What dissecting batches of 32,768 messages may take, with the pool and everything that is imported."""
GROWTH_MB = 100
"""What may come on top after the first batches: some have more large messages than others."""


def settled(outcome: Outcome, count: int) -> None:
    """Every message is as it must be."""
    assert outcome.wrong == []
    assert outcome.messages == outcome.rows == count
    assert 0.009 < outcome.changed / count < 0.011
    assert min(outcome.tables.values()) > 0
    assert outcome.errors.keys() >= {"truncated", "trailing", "over_limit", "oversized", "non_canonical"}


def test_a_hundred_thousand_messages() -> None:
    """Each becomes one row; an unchanged one has no error, and a changed one is what the plain decoder makes of it."""
    settled(run(SHORT), SHORT)
    assert len(layouts()) > 30


@pytest.mark.soak
def test_ten_million_messages(capsys: pytest.CaptureFixture[str]) -> None:
    """The same a hundred times over, in a process of its own, in memory that does not grow."""
    outcome = alone(run, LONG)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{outcome.messages:,} messages, {outcome.changed:,} of them changed: rows {dict(outcome.tables)}, errors "
            f"{dict(outcome.errors)}, peak memory {outcome.peak_mb:.0f} MB, {outcome.growth_mb:.0f} MB more than at the start\n"
        )
    settled(outcome, LONG)
    assert outcome.peak_mb < PEAK_MB
    assert outcome.growth_mb < GROWTH_MB
