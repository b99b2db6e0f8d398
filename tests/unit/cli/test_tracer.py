"""`peerwatch tracer`: what can be said without attaching; tests/kernel/test_units.py joins it with a watcher."""

from __future__ import annotations

from pathlib import Path

from tests.unit.cli.conftest import Command


def test_it_needs_a_socket(peerwatch: Command) -> None:
    """There would be no way to it."""
    assert peerwatch("tracer").status == 2


def test_a_broken_configuration(peerwatch: Command, tmp_path: Path) -> None:
    """Is said before anything is loaded."""
    (tmp_path / "x.toml").write_text("[[node]]\nname = 'a'\nbinry = '/x'")
    ran = peerwatch("tracer", "--socket", tmp_path / "s", "--config", tmp_path / "x.toml")
    assert ran.status == 1
    assert "did you mean `binary`?" in ran.err
