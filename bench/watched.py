"""`peerwatch run` over a player, for figures of the whole."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench.player import private, workplace
from tests.kernel.watched import Player, Run, ask, messages_fired, one, playing, running, wait_for

NODE = """
[[node]]
name = "{name}"
binary = "{binary}"
args = ["--name={name}"]
"""

EVERY_S = 0.05
RECORD_S = 120.0
"""How long it may take until everything is recorded."""


@dataclass(slots=True)
class Seen:
    """What a run has come to."""

    fired: int = 0
    """Messages that the player sent past its probes."""
    recorded: int = 0
    dropped: int = 0
    """Messages that peerwatch says it lost."""
    addresses: int = 0
    """Rows of table `address`."""
    rate: float = 0.0
    """Messages a second of the player."""
    cpu: float = 0.0
    """Cores that the watcher kept busy while the player ran."""
    anonymous: list[int] = field(default_factory=list)
    """Bytes of the watcher's anonymous memory, again and again."""

    @property
    def missing(self) -> int:
        """Neither recorded nor said to be lost."""
        return self.fired - self.recorded - self.dropped


def watch(play: Path, seconds: float | None = None, during: Callable[[Run, float], None] | None = None) -> Seen:
    """Run peerwatch while a player plays a file, once, or again and again for so many seconds.

    `during` is called again and again with the run and the seconds since the first row was there.
    """
    seen = Seen()
    how = ("--speed", "1", *(["--loop"] if seconds else []))
    with workplace() as folder:
        binary = private(folder)
        with (
            running(folder, NODE.format(name="bench", binary=binary), options=("--quiet",)) as run,
            playing(binary, "--threads", "1", "--name=bench", *how, str(play)) as player,
        ):
            wait_for(lambda: ask(run.archive, "SELECT 1 FROM message LIMIT 1"), "first rows")
            watcher = run.watcher()
            began, busy = time.monotonic(), _cpu_s(watcher)
            seen.anonymous.append(anonymous(watcher))
            while player.process.poll() is None and not (seconds and time.monotonic() - began > seconds):
                seen.anonymous.append(anonymous(watcher))
                if during:
                    during(run, time.monotonic() - began)
                time.sleep(EVERY_S)
            seen.cpu = (_cpu_s(watcher) - busy) / (time.monotonic() - began)
            _end(seen, run, player, watcher)
    return seen


def _end(seen: Seen, run: Run, player: Player, watcher: psutil.Process) -> None:
    if player.process.poll() is None:
        player.process.send_signal(signal.SIGTERM)
    report = player.report()
    seen.fired = messages_fired(report)
    wait_for(lambda: _recorded(seen, run, watcher), "everything recorded", RECORD_S)
    (span,) = ask(run.archive, "SELECT count(*) / (max(ts) - min(ts)) * 1e9 AS rate FROM message")
    seen.rate = span["rate"]
    seen.addresses = one(run.archive, "SELECT count(*) FROM address")
    if run.stop():
        raise RuntimeError(f"peerwatch failed: {run.said()}")


def _recorded(seen: Seen, run: Run, watcher: psutil.Process) -> bool:
    seen.anonymous.append(anonymous(watcher))
    seen.recorded = one(run.archive, "SELECT count(*) FROM message")
    seen.dropped = one(run.archive, "SELECT coalesce(sum(count), 0)::BIGINT FROM loss WHERE kind = 'dropped'")
    return seen.missing <= 0


def anonymous(process: psutil.Process) -> int:
    """Bytes of a process's memory that are neither file nor shared, as the ring is."""
    for line in Path(f"/proc/{process.pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) << 10
    raise RuntimeError(f"process {process.pid} has no memory")


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
