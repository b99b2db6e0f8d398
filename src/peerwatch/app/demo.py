"""The demonstration: a stand-in for a node is traced by the real kernel while a scenario is played through its tracepoints.

Where the kernel or the user cannot trace, the same scenario is fed past the kernel, and that is said.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from peerwatch.app.config import Config
from peerwatch.app.live import Task, trace, watch_sources
from peerwatch.schema.batch import SECOND
from peerwatch.sources.simulation.folder import PLAY, Labels, write_simulation
from peerwatch.sources.simulation.scenarios.catalogue import scenario_named
from peerwatch.sources.simulation.simulation import Plan
from peerwatch.sources.simulation.source import SimulationSource
from peerwatch.sources.usdt.discover import Wanted
from peerwatch.sources.usdt.kernel import Kernel, KernelError

PLAYER = Path(__file__).parents[3] / "build/player/peerwatch-player"
"""The tracepoint player of this checkout; `make` builds it."""

NODE = "demo"
WAIT_ATTACHED_S = 15
LONGEST_S = 600.0
"""Length of the scenario when the demonstration goes on until it is interrupted."""

HOLD_S = 10.0
"""An incident is resolved after so many seconds without a finding; shorter than usual, so that the end can be seen …"""

HOLD_SHARE = 0.2
"""… and at most this share of the time."""

START_SHARE, FLOOD_SHARE = 0.15, 0.3
"""The attack begins and lasts these shares of the time, but at most 10 s and 30 s."""

RATE = 4.0
"""Messages a second of each flooder: faster than in 2021, as the whole is shorter."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Demo:
    """What to show."""

    scenario: str
    seconds: float | None
    seed: int
    task: Task
    say: Say = print

    def plan(self) -> Plan:
        """The scenario, its attack placed so that beginning and end can be seen.

        Raises:
            ValueError: there is no such scenario.
        """
        length = self.seconds or LONGEST_S
        options: dict[str, float] = {}
        if "start_s" in scenario_named(self.scenario).options:
            options = {"start_s": min(10.0, length * START_SHARE), "duration_s": min(30.0, length * FLOOD_SHARE), "rate": RATE}
        return Plan(self.scenario, self.seed, time.time_ns(), int(length * SECOND), options=options)


def show(demo: Demo) -> int:
    """Run it until it ends or is interrupted. Returns the exit status.

    Raises:
        ValueError: no such scenario.
        FolderError: no room for the scenario.
        ArchiveError, PrivilegeError: see `live.trace`.
    """
    plan = demo.plan()
    with tempfile.TemporaryDirectory(prefix="peerwatch-demo-") as folder:
        truth = write_simulation(plan, Path(folder), NODE)
        _announce(demo, truth)
        why = "the tracepoint player is not built (run make)" if not PLAYER.exists() else None
        try:
            kernel = None if why else Kernel.load(ring_bytes=demo.task.config.ring_mib << 20)
        except KernelError as error:
            kernel, why = None, str(error)
        if kernel is None:
            demo.say(f"Cannot trace here: {why}")
            demo.say("The same scenario is fed past the kernel instead; everything behind the tracer is the real thing.")
            return watch_sources(demo.task, lambda _: [SimulationSource.from_folder(Path(folder), speed=1.0)])
        return _traced(demo, kernel, Path(folder) / PLAY)


def _traced(demo: Demo, kernel: Kernel, play: Path) -> int:
    demo.say(f"Tracing through {kernel.attach_method}.")
    command = [str(PLAYER), "--name", NODE, "--wait-attached", str(WAIT_ATTACHED_S), str(play)]
    player = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)  # noqa: S603 - our own program
    try:
        return trace(demo.task, kernel, [Wanted(NODE, pid=player.pid)])
    finally:
        player.terminate()
        player.wait()


def _announce(demo: Demo, truth: Labels) -> None:
    demo.say(f"Scenario {demo.scenario}, seed {demo.seed}: a node with its peers, played as fast as it happened.")
    for attack in truth.attacks:
        begins = (attack["first_ts"] - truth.start) / SECOND
        lasts = (attack["last_ts"] - attack["first_ts"]) / SECOND
        peers = ", ".join(f"{p['id']} ({p['address']})" for p in attack["peers"])
        demo.say(f"After {begins:.0f} s, for {lasts:.0f} s: {attack['kind']} by the peers {peers}.")


def hold_s(seconds: float | None) -> float:
    """Seconds without a finding after which an incident of a demonstration of that length is over."""
    return HOLD_S if seconds is None else min(HOLD_S, seconds * HOLD_SHARE)


def config() -> Config:
    """Defaults, with a ring that is large enough for one quiet node."""
    return Config(ring_mib=64)
