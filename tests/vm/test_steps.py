"""What is made once is made again exactly when it must be, and a command that fails says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.test_kernel.steps import Stamp, StepError, run


def test_a_stamp_is_fresh_only_for_its_recipe(tmp_path: Path) -> None:
    """Nothing made, made by another recipe, or interrupted while it was made again: none is fresh."""
    stamp = Stamp(tmp_path / "stamp", "one")
    assert not stamp.fresh()
    stamp.set()
    assert stamp.fresh()
    assert not Stamp(tmp_path / "stamp", "two").fresh()
    stamp.clear()
    assert not stamp.fresh()


def test_a_failed_command_shows_the_end_of_its_output(tmp_path: Path) -> None:
    """The text has the status, the log and the last lines."""
    log = tmp_path / "logs/one.log"
    with pytest.raises(StepError, match="status 3") as failure:
        run("sh", "-c", "seq 1000; echo no room >&2; exit 3", log=log)
    assert str(log) in str(failure.value)
    assert str(failure.value).endswith("999\n1000\nno room")
    assert "\n900\n" not in str(failure.value)


def test_a_missing_command_is_named(tmp_path: Path) -> None:
    """The text says which command is missing and where its package is listed."""
    with pytest.raises(StepError, match=r"no command no-such-command.*docs/kernels\.md"):
        run("no-such-command", log=tmp_path / "log")
