"""`peerwatch watcher`: what can be said without a tracer; tests/kernel/test_units.py joins them."""

from __future__ import annotations

from pathlib import Path

from tests.unit.cli.conftest import Command


def test_without_a_tracer(peerwatch: Command, tmp_path: Path) -> None:
    """One line that names the socket."""
    ran = peerwatch("watcher", "--socket", tmp_path / "nobody", "--archive", tmp_path / "archive")
    assert ran.status == 1
    assert "nobody" in ran.err
    assert ran.err.count("\n") == 1
