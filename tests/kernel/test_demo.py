"""The demonstration, for real: the player is traced by the kernel, and the flood seen."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.kernel


def test_the_flood_is_one_incident_that_names_the_flooders(tmp_path: Path) -> None:
    """Live rates, one incident for the flood with its peers and no others, its end; the archive is below a closed folder."""
    archive = tmp_path / "demo"
    ran = subprocess.run(
        [sys.executable, "-m", "peerwatch", "demo", "--for", "22", "--archive", str(archive)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "Tracing through" in ran.stdout
    assert ran.stdout.count("msg/s in") > 5
    announced = [
        int(word) for word in ran.stdout.split("by the peers ")[1].splitlines()[0].replace(",", "").split() if word.isdecimal()
    ]
    command = [sys.executable, "-m", "peerwatch", "alerts", "--archive", str(archive), "--json"]
    alerts = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    (incident,) = [json.loads(line) for line in alerts]
    assert incident["kind"] == "addr_flood"
    assert incident["state"] == "resolved"
    assert sorted(p["id"] for p in incident["peers"]) == sorted(announced)
    assert all(p["address"] for p in incident["peers"])
