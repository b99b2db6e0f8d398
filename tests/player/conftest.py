"""The player, built, ways to run it, and something to play."""

from __future__ import annotations

import fcntl
import io
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peerwatch.sources.simulation.events import Events, Name
from peerwatch.sources.simulation.pieces import Pieces
from peerwatch.sources.simulation.playfile import PlayWriter
from peerwatch.sources.usdt.probes import HEADER, PROBES

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build/player"

START = 1_700_000_000_000_000_000
NAMES = {peer: Name(f"203.0.113.{peer}:8333".encode(), b"inbound") for peer in range(10)}


@pytest.fixture(scope="session")
def binaries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the player and its variants, built by make; copies, which no tracer on this machine is attached to."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    copies = tmp_path_factory.mktemp("player")
    with (FOLDER / ".lock").open("w") as lock:  # tests run in several processes
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(["make", "-s", "-C", ROOT / "player"], check=True)
        for name in ("peerwatch-player", "player-older", "player-changed", "player-noprobes"):
            shutil.copy2(FOLDER / name, copies / name)
    return copies


@pytest.fixture
def play(binaries: Path) -> Callable[..., list[dict[str, Any]]]:
    """Run the player to its end, and give its reports."""

    def run(*arguments: object, name: str = "peerwatch-player", **options: Any) -> list[dict[str, Any]]:
        done = subprocess.run([binaries / name, *map(str, arguments)], stdout=subprocess.PIPE, check=True, timeout=60, **options)
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run


@pytest.fixture
def scenario() -> Callable[..., Events]:
    """Make events of all probes in turn, `gap` ns apart; messages of 0 to 199 bytes of three types."""

    def make(count: int, gap: int = 0) -> Events:
        head, bodies = np.zeros(count, HEADER), []
        for i, event in enumerate(head):
            number = i % len(PROBES)
            event["ts"], event["probe"], event["peer"] = START + i * gap, number, i % len(NAMES)
            if number < 2:
                bodies.append(bytes(i % 200))
                event["type"], event["size"] = np.void([b"inv", b"tx", b"ping"][i % 3].ljust(16, b"\0")), i % 200
            else:
                bodies.append(bytes(PROBES[number].body.itemsize))
            event["kept"] = len(bodies[-1])
        return Events(head, Pieces.of_bytes(bodies))

    return make


@pytest.fixture
def file_of() -> Callable[..., bytes]:
    """The bytes of a play file: events, and commands as (number, ns from the start)."""

    def write(*parts: Events | tuple[int, int], thread: int | np.ndarray[Any, Any] = 0) -> bytes:
        file = io.BytesIO()
        writer = PlayWriter(file, START)
        for part in parts:
            if isinstance(part, Events):
                writer.write(part, NAMES, thread)
            else:
                writer.command(part[0], START + part[1])
        return file.getvalue()

    return write
