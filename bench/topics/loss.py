"""Whether anything is lost under load, also while the watcher stands still."""

from __future__ import annotations

import time

from bench.figures import Budget, Figure, Scale, Topic
from bench.mix import BUSY
from bench.player import mix_file
from bench.watched import watch
from tests.kernel.watched import Run

LONG_S, STALL_S = 60, 5
NOTHING = Budget(0, 0)


def measure(scale: Scale) -> list[Figure]:
    """One run with a stall in the middle."""
    seconds, stall = scale.of(LONG_S, 5), scale.of(STALL_S, 1)
    stalls: list[float] = []

    def stop_once(run: Run, passed: float) -> None:
        if not stalls and passed > seconds / 3:
            watcher = run.watcher()
            began = time.monotonic()
            watcher.suspend()
            time.sleep(stall)
            watcher.resume()
            stalls.append(time.monotonic() - began)

    seen = watch(mix_file(scale.of(5 * BUSY, BUSY // 2)), seconds, stop_once)
    return [
        Figure("messages fired", "", [float(seen.fired)]),
        Figure("rate of the player", "msg/s", [seen.rate], is_rate=True),
        Figure("the watcher stood still", "s", stalls),
        Figure("messages recorded", "", [float(seen.recorded)]),
        Figure("messages dropped and declared", "", [float(seen.dropped)], NOTHING),
        Figure("messages missing", "", [float(seen.missing)], NOTHING),
    ]


TOPIC = Topic(
    "Loss",
    f"""`peerwatch run` with everything on and a ring of its usual size, while the player plays the mix at {BUSY:,} messages a
second for {LONG_S} s. After a third of that the watcher is stopped (SIGSTOP) for {STALL_S} s.""",
    measure,
    traces=True,
)
