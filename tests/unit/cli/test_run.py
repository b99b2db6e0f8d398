"""`peerwatch run` where nothing is traced; tests/kernel/test_run.py has the rest."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from peerwatch.store.query import Query

CAPTURE = Path(__file__).parents[2] / "data/captures/ping-node0"


def test_a_capture_needs_no_rights(tmp_path: Path) -> None:
    """A node with a capture only is followed, and everything in it recorded; a second run records nothing twice."""
    shutil.copytree(CAPTURE / "message_capture", tmp_path / "message_capture")
    config = tmp_path / "peerwatch.toml"
    config.write_text(f'[[node]]\nname = "alpha"\ncapture = "{tmp_path / "message_capture"}"\n')
    command = [
        sys.executable,
        "-m",
        "peerwatch",
        "run",
        "--config",
        str(config),
        "--archive",
        str(tmp_path / "archive"),
        "--for",
        "1",
    ]
    for _ in range(2):
        assert subprocess.run(command, check=False, capture_output=True, timeout=60).returncode == 0
    (row,) = Query(tmp_path / "archive").table("SELECT count(*) AS n, count(DISTINCT seq) AS distinct_n FROM message").to_pylist()
    expected = json.loads((CAPTURE / "expected.json").read_text())["messages"]
    assert (row["n"], row["distinct_n"]) == (expected, expected)


def test_a_capture_that_is_none(tmp_path: Path) -> None:
    """One line, status 1."""
    config = tmp_path / "peerwatch.toml"
    config.write_text(f'[[node]]\nname = "alpha"\ncapture = "{tmp_path / "gone"}"\n')
    command = [
        sys.executable,
        "-m",
        "peerwatch",
        "run",
        "--config",
        str(config),
        "--archive",
        str(tmp_path / "archive"),
        "--for",
        "1",
    ]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 1
    assert ran.stderr.startswith("Error: ")
    assert ran.stderr.count("\n") == 1
