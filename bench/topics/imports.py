"""How long the command takes to be there."""

from __future__ import annotations

import subprocess
import sys
import time

from bench.figures import Budget, Figure, Scale, Topic

AT_ONCE = Budget(0.5, 0.15)

COMMANDS = {
    "`import peerwatch`": ("-c", "import peerwatch"),
    "`peerwatch --help`": ("-m", "peerwatch", "--help"),
    "`peerwatch --version`": ("-m", "peerwatch", "--version"),
}


def measure(scale: Scale) -> list[Figure]:
    """Wall time from start to end of a process."""
    times = scale.of(15, 2)
    figures = [Figure("`python -c pass`, for comparison", "s", [_seconds("-c", "pass") for _ in range(times)])]
    for name, arguments in COMMANDS.items():
        figures.append(Figure(name, "s", [_seconds(*arguments) for _ in range(times)], AT_ONCE))
    return figures


def _seconds(*arguments: str) -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - began


TOPIC = Topic("Starting", "Wall time of a whole process, with everything it reads in the page cache.", measure)
