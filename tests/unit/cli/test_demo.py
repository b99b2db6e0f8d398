"""`peerwatch demo` without a kernel; tests/kernel/test_demo.py has the other way."""

from __future__ import annotations

import subprocess
import sys

from tests.unit.cli.conftest import Command


def test_an_unknown_scenario(peerwatch: Command) -> None:
    """One line that names one that may have been meant."""
    ran = peerwatch("demo", "--scenario", "addr-flood", "--for", "20")
    assert ran.status == 1
    assert "addr-flood-2021" in ran.err


def test_too_short_a_time(peerwatch: Command) -> None:
    """Nothing could be seen in a second."""
    assert peerwatch("demo", "--for", "1").status == 2


def test_without_rights_the_scenario_goes_past_the_kernel() -> None:
    """It says that it cannot trace and why, and shows everything else."""
    bare = ["setpriv", "--inh-caps", "-all", "--bounding-set", "-all", "--no-new-privs"]
    command = [*bare, sys.executable, "-m", "peerwatch", "demo", "--for", "20"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "Cannot trace here: " in ran.stdout
    assert "past the kernel" in ran.stdout
    assert "msg/s in" in ran.stdout
