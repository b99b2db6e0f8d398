"""`peerwatch simulate`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from peerwatch.sources.simulation.folder import PLAY
from tests.unit.cli.conftest import Command


def test_scenarios_are_listed(peerwatch: Command) -> None:
    """Without a scenario, all of them with their options."""
    out = peerwatch("simulate").out
    assert "quiet: " in out
    assert "addr-flood-2021: " in out
    assert "duration_s = 500 s" in out
    assert {json.loads(line)["scenario"] for line in peerwatch("simulate", "--json").out.splitlines()} >= {
        "quiet",
        "addr-flood-2021",
    }


def test_labels_name_the_attackers(simulation: Path) -> None:
    """The truth lies beside the play file."""
    labels = json.loads((simulation / "labels.json").read_text())
    (attack,) = labels["attacks"]
    assert len(attack["peers"]) == 2
    assert labels["seed"] == 5


def test_the_same_command_gives_the_same_bytes(peerwatch: Command, tmp_path: Path) -> None:
    """And another seed gives others; --out - streams the play file."""
    short = ("--hours", "0.02", "--load", "0.1")
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert peerwatch("simulate", "quiet", "--out", tmp_path / name, "--seed", seed, *short).status == 0
    a, b, c = ((tmp_path / name / PLAY).read_bytes() for name in "abc")
    assert a == b != c
    command = [sys.executable, "-m", "peerwatch", "simulate", "quiet", "--out", "-", "--seed", "1", *short]
    assert subprocess.run(command, capture_output=True, check=True).stdout == a


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("nothing", "--out", "x"), 1, "nothing"),
        (("quiet",), 2, "--out"),
        (("quiet", "--out", "x", "--set", "peers"), 2, "NAME=NUMBER"),
        (("quiet", "--out", "x", "--set", "peers=3"), 1, "peers"),
        (("quiet", "--out", "x", "--hours", "0"), 2, "--hours"),
    ],
)
def test_what_cannot_be_simulated(peerwatch: Command, arguments: tuple[str, ...], status: int, words: str) -> None:
    """One clear line each."""
    ran = peerwatch("simulate", *arguments)
    assert ran.status == status
    assert words in ran.err
