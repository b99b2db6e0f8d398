"""From an event to its alert."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from statistics import fmean

import numpy as np

from bench.figures import Budget, Figure, Scale, Topic
from bench.mix import START
from bench.player import private, workplace
from bench.watched import NODE
from peerwatch.schema.batch import SECOND
from peerwatch.sources.simulation.addresses import FULL_NODE, ipv4
from peerwatch.sources.simulation.events import Events, Name, messages, ordered
from peerwatch.sources.simulation.pieces import Pieces, vectors
from peerwatch.sources.simulation.playfile import PlayWriter
from tests.kernel.watched import Run, ask, playing, running

SOON = Budget(2.0, 0.5)
ATTACK_NS = 2 * SECOND
LENGTH_NS = 8 * SECOND
PEERS, FLOODER = 8, 3
MESSAGES, ENTRIES = 200, 10
"""The flood, as single connections sent it in 2021, but all at once. It is twice what a connection can have saved up."""
PATIENCE_S = 12.0


def measure(scale: Scale) -> list[Figure]:
    """Attacks on several nodes of one run, spread over the second."""
    count = scale.of(16, 4)
    with workplace() as folder, ExitStack() as stack:
        binary = private(folder)
        names = [f"node{nth}" for nth in range(count)]
        config = "".join(NODE.format(name=name, binary=binary) for name in names)
        run = stack.enter_context(running(folder, config, options=("--quiet",)))
        for nth, name in enumerate(names):
            play = folder / f"{name}.play"
            _attack(play, ATTACK_NS + nth * SECOND // count)
            stack.enter_context(playing(binary, "--threads", "1", f"--name={name}", str(play)))
        printed, recorded = _alerts(run, names)
        last = {
            r["node"]: r["ts"] for r in ask(run.archive, "SELECT node, max(ts) ts FROM message WHERE type = 'addr' GROUP BY ALL")
        }
        if missing := [name for name in names if name not in printed or name not in recorded]:
            raise RuntimeError(f"no alert for {', '.join(missing)}: {run.said()}")
        run.stop()
    figures = []
    for what, when in (("printed", printed), ("recorded", recorded)):
        seconds = [(when[name] - last[name]) / SECOND for name in names]
        figures += [
            Figure(f"event to alert {what}, longest of {count}", "s", [max(seconds)], SOON),
            Figure(f"event to alert {what}, mean", "s", [fmean(seconds)]),
        ]
    return figures


def _alerts(run: Run, names: list[str]) -> tuple[dict[str, int], dict[str, int]]:
    """When the alert of each node was on the terminal, and when in the archive; ns UTC."""
    printed: dict[str, int] = {}
    recorded: dict[str, int] = {}
    deadline = time.monotonic() + PATIENCE_S
    while (len(printed) < len(names) or len(recorded) < len(names)) and time.monotonic() < deadline:
        said = run.said()
        now = time.time_ns()
        for name in names:
            if f"addr_flood on {name}," in said:
                printed.setdefault(name, now)
        if len(recorded) < len(printed):
            rows = ask(run.archive, "SELECT DISTINCT node FROM incident WHERE kind = 'addr_flood'")
            now = time.time_ns()
            for row in rows:
                recorded.setdefault(row["node"], now)
        time.sleep(0.005)
    return printed, recorded


def _attack(path: Path, at: int) -> None:
    """Some peers that ping, and one that floods all at once, `at` ns after the beginning."""
    rng = np.random.default_rng(at)
    ping = np.arange(0, LENGTH_NS, SECOND // 20)
    count = np.full(MESSAGES, ENTRIES)
    what = ipv4(rng.integers(0, 1 << 32, MESSAGES * ENTRIES, dtype=np.uint32), 8333, FULL_NODE)
    flood = vectors(what.v1(np.full(len(what), START // SECOND)), None, count)
    nonces = Pieces.of_rows(rng.integers(0, 256, (len(ping), 8), np.uint8))
    events = [
        messages(START + ping, np.arange(len(ping)) % PEERS, inbound=True, kind="ping", bodies=nonces),
        messages(START + at + np.arange(MESSAGES) * 1000, np.full(MESSAGES, FLOODER), inbound=True, kind="addr", bodies=flood),
    ]
    with path.open("wb") as file:
        names = {peer: Name(f"203.0.113.{peer}:8333".encode(), b"inbound") for peer in range(PEERS)}
        PlayWriter(file, START).write(ordered(Events.joined(events)), names)


TOPIC = Topic(
    "From an event to its alert",
    """One `peerwatch run` watches several nodes, each of which one peer floods with addresses at another moment of the second.
Counted from the last message of the flood, by the kernel's clock, to the line on the terminal, and to the incident's being in
the archive for everyone who asks (found out by asking, which takes some 20 ms). Detectors judge whole seconds, so up to one
second is by design.""",
    measure,
    traces=True,
)
