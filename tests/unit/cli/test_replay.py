"""`peerwatch replay`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Command

CAPTURE = Path(__file__).parents[2] / "data/captures/ping-node0"


def test_a_simulation(peerwatch: Command, simulation: Path, tmp_path: Path) -> None:
    """The flood is one incident that names the labelled peers and no others."""
    ran = peerwatch("replay", simulation, "--archive", tmp_path / "archive")
    assert "OPEN     page addr_flood" in ran.out
    assert "RESOLVED page addr_flood" in ran.out
    labelled = json.loads((simulation / "labels.json").read_text())["attacks"][0]["peers"]
    (incident,) = [json.loads(line) for line in peerwatch("alerts", "--archive", tmp_path / "archive", "--json").out.splitlines()]
    assert sorted(incident["peers"], key=lambda p: p["id"]) == labelled


def test_a_capture_and_the_archive_made_of_it(peerwatch: Command, tmp_path: Path) -> None:
    """A capture becomes an archive; that archive replayed has the same messages."""
    count = "SELECT type, inbound, count(*) n, sum(size) b FROM message GROUP BY ALL ORDER BY ALL"
    first, second = tmp_path / "first", tmp_path / "second"
    assert peerwatch("replay", CAPTURE, "--archive", first, "--node", "alpha", "--quiet").status == 0
    assert peerwatch("replay", first, "--archive", second, "--quiet").status == 0
    results = [peerwatch("sql", count, "--archive", folder, "--format", "json").out for folder in (first, second)]
    assert results[0] == results[1] != ""
    assert '"alpha"' in peerwatch("sql", "SELECT DISTINCT node FROM message", "--archive", second, "--format", "json").out


def test_a_capture_needs_neither_duckdb_nor_the_simulation(tmp_path: Path) -> None:
    """They take a third of the time that a small capture takes."""
    program = f"""
import sys
from peerwatch.cli.main import root
root(["replay", {str(CAPTURE)!r}, "--archive", {str(tmp_path / "archive")!r}, "--quiet"], standalone_mode=False)
print([name for name in sys.modules if name == "duckdb" or name.startswith("peerwatch.sources.simulation.sim")])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("speed", ["0", "-1", "fast"])
def test_a_speed_that_is_none(peerwatch: Command, speed: str) -> None:
    """A positive number or max."""
    ran = peerwatch("replay", CAPTURE, "--speed", speed)
    assert ran.status == 2
    assert "neither a positive number nor max" in ran.err


def test_what_cannot_be_replayed(peerwatch: Command, tmp_path: Path) -> None:
    """A folder that is none of the three, one that is not there, and an archive over something else."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for source, archive in ((tmp_path / "full", "a"), (tmp_path / "gone", "a"), (CAPTURE, "full")):
        ran = peerwatch("replay", source, "--archive", tmp_path / archive)
        assert ran.status == 1
        assert ran.err.startswith("Error: ")
        assert ran.err.count("\n") == 1
