"""What the tests of this folder share."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from peerwatch.sources.usdt.privileges import fork


def _run(body: Callable[[], Any]) -> Any:
    receiving, sending = os.pipe()
    pid = fork()
    if pid == 0:
        try:
            outcome = {"value": body()}
        except BaseException:  # noqa: BLE001 - handed to the parent
            outcome = {"error": traceback.format_exc()}
        os.write(sending, json.dumps(outcome).encode())
        os._exit(0)
    os.close(sending)
    with os.fdopen(receiving) as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    assert text, "the child died"
    outcome = json.loads(text)
    if "error" in outcome:
        pytest.fail(outcome["error"])
    return outcome["value"]


@pytest.fixture
def in_child() -> Callable[[Callable[[], Any]], Any]:
    """Calls something in a forked process, where it may give up rights, and returns its (JSON-able) result."""
    return _run


PLAYER = Path(__file__).parents[4] / "build/player/peerwatch-player"


class Started:
    """A player of its own path and inode, and processes of it that end with the test."""

    def __init__(self, folder: Path) -> None:
        """Copy the player into a folder."""
        self.path = str(shutil.copy2(PLAYER, folder / "node"))
        self.running: list[subprocess.Popen[bytes]] = []

    def __call__(self, *arguments: str, path: str | None = None) -> int:
        """Start one that fires slowly and for ever; its process id."""
        command = [path or self.path, "--load", "forever", "--rate", "10", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self.running.append(process)
        while not (line := Path(f"/proc/{process.pid}/cmdline").read_bytes()).startswith(os.fsencode(command[0]) + b"\0"):
            assert line is not None
            time.sleep(0.001)  # it has not become the player yet
        return process.pid


@pytest.fixture
def outside() -> Iterator[Path]:
    """A folder that other users can look into; pytest's own are closed."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def player(outside: Path) -> Iterator[Started]:
    """Starts players: call it with their arguments, and get the process id."""
    started = Started(outside)
    yield started
    for process in started.running:
        process.kill()
        process.wait()
