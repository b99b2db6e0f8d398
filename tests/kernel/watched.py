"""`peerwatch run` and players as real processes, for the tests of the whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from peerwatch.store.errors import ArchiveError
from peerwatch.store.query import Query

WAIT_S = 30.0
WATCHER_UID = 65534


def wait_for(holds: Callable[[], Any], what: str, seconds: float = WAIT_S) -> Any:
    """The first true value of `holds`, asked again and again."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := holds():
            return value
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds:g} s in vain: {what}")


def ask(archive: Path, sql: str) -> list[dict[str, Any]]:
    """Rows of a query; none while there is no archive yet."""
    try:
        return [dict(row) for row in Query(archive).table(sql).to_pylist()]
    except ArchiveError:
        return []


def one(archive: Path, sql: str) -> Any:
    """The single value of a query."""
    (row,) = ask(archive, sql)
    (value,) = row.values()
    return value


@dataclass
class Run:
    """A `peerwatch run` that goes on."""

    process: subprocess.Popen[str]
    archive: Path
    output: Path
    killed: list[int] = field(default_factory=list)

    def watcher(self) -> psutil.Process:
        """The process without rights: the child of the command."""
        return wait_for(lambda: next(iter(psutil.Process(self.process.pid).children()), None), "a watcher")

    def kill_watcher(self, how: int = signal.SIGKILL) -> None:
        """Kill it, and wait until another one runs."""
        old = self.watcher().pid
        os.kill(old, how)
        self.killed.append(old)
        wait_for(lambda: any(c.pid != old for c in psutil.Process(self.process.pid).children()), "another watcher")

    def said(self) -> str:
        """What it printed so far."""
        return self.output.read_text()

    def wait_said(self, text: str, times: int = 1) -> None:
        """Until it has printed something."""
        wait_for(lambda: self.said().count(text) >= times, f"{text!r} in {self.output}")

    def stop(self) -> int:
        """End it in good order; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextmanager
def running(
    folder: Path,
    config: str,
    *,
    prefix: tuple[str, ...] = (),
    options: tuple[str, ...] = (),
    python: str = sys.executable,
    environment: dict[str, str] | None = None,
) -> Iterator[Run]:
    """`peerwatch run` with a configuration, behind `prefix` (setpriv, taskset …); killed at the end if it still runs."""
    (folder / "peerwatch.toml").write_text(config)
    archive, output = folder / "archive", folder / "run.log"
    command = [*prefix, python, "-m", "peerwatch", "run", "--config", str(folder / "peerwatch.toml"), "--archive", str(archive)]
    with output.open("w") as log:
        process = subprocess.Popen(
            [*command, *options], stdout=log, stderr=subprocess.STDOUT, text=True, cwd="/", env=os.environ | (environment or {})
        )
    run = Run(process, archive, output)
    try:
        yield run
    finally:
        process.kill()
        process.wait()


@dataclass
class Player:
    """A player that runs or has run."""

    process: subprocess.Popen[str]

    def report(self, seconds: float = 300.0) -> dict[str, Any]:
        """What it fired, once it has ended."""
        out, err = self.process.communicate(timeout=seconds)
        assert self.process.returncode == 0, err
        return dict(json.loads(out.strip().splitlines()[-1]))


@contextmanager
def playing(binary: Path, *options: str, prefix: tuple[str, ...] = ()) -> Iterator[Player]:
    """A player; killed at the end if it still runs."""
    command = [*prefix, str(binary), "--wait-attached", str(int(WAIT_S)), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield Player(process)
    finally:
        process.kill()
        process.communicate()


def messages_fired(report: dict[str, Any]) -> int:
    """Messages of a player's report."""
    return int(report["fired"]["net:inbound_message"] + report["fired"]["net:outbound_message"])
