"""`peerwatch doctor`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.cli.conftest import Command


def test_facts_are_lines(peerwatch: Command) -> None:
    """Each with a state; what is not ok says what to do; the status says whether anything is missing."""
    ran = peerwatch("doctor", "--json")
    facts = [json.loads(line) for line in ran.out.splitlines()]
    assert {"kernel", "libbpf", "capabilities"} <= {f["name"] for f in facts}
    assert ran.status == (1 if any(f["state"] == "failed" for f in facts) else 0)
    assert all(f["advice"] for f in facts if f["state"] == "failed")


def test_text_says_the_same(peerwatch: Command) -> None:
    """A line a fact, and its advice below it."""
    names = [json.loads(line)["name"] for line in peerwatch("doctor", "--json").out.splitlines()]
    out = peerwatch("doctor").out
    assert all(f"  {name}: " in out for name in names)


def test_a_broken_configuration(peerwatch: Command, tmp_path: Path) -> None:
    """Is said before anything is looked at."""
    (tmp_path / "x.toml").write_text("rng_mib = 3")
    ran = peerwatch("doctor", "--config", tmp_path / "x.toml")
    assert (ran.status, ran.out) == (1, "")
    assert "did you mean `ring_mib`?" in ran.err
