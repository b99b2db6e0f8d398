"""Reading `debug.log`: lines a second, as a node with -debug=net writes them."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from bench.figures import Budget, Figure, Scale, Topic
from peerwatch.sources.debuglog.registry import all_templates
from peerwatch.sources.debuglog.source import DebugLogSource

TYPES = ("inv", "tx", "getdata", "ping", "pong", "addr", "addrv2", "headers", "feefilter", "sendcmpct")
SHARES = {"messages": 0.8, "understood": 0.12, "unknown": 0.08}
"""Of a node with -debug=net and -debug=addrman that has peers; most lines are of messages."""

UNKNOWN = (
    "Flushed {n} addresses to peers.dat  {n}ms",
    "got inv: wtx {h}  new peer={n}",
    "Requesting wtx {h} peer={n}",
    "initial getheaders ({n}) to peer={n} (startheight:{n})",
    "more getheaders ({n}) to end to peer={n} (startheight:{n})",
)


def measure(scale: Scale) -> list[Figure]:
    """A log of mixed lines, of messages alone, and of lines that no template is declared for."""
    count = scale.of(200_000, 4000)
    times = scale.of(5, 1)
    figures = []
    for name, shares, budget in (
        ("mixed", SHARES, Budget(200e3, 400e3)),
        ("of messages", {"messages": 1.0}, None),
        ("understood", {"understood": 1.0}, None),
        ("not declared", {"unknown": 1.0}, None),
    ):
        lines = _lines(count, shares)
        figures.append(Figure(f"lines, {name}", "lines/s", [count / _seconds(lines) for _ in range(times)], budget, is_rate=True))
    return figures


def _lines(count: int, shares: dict[str, float]) -> bytes:
    random = np.random.default_rng(3)
    kinds = random.choice(list(shares), count, p=list(shares.values()))
    examples = [(template.category, template.example) for template in all_templates()]
    lines = []
    for number, kind in enumerate(kinds.tolist()):
        peer = int(random.integers(125))
        category = "net"
        if kind == "messages":
            verb = "received:" if number % 2 else "sending"
            message = f"{verb} {TYPES[peer % len(TYPES)]} ({random.integers(4000)} bytes) peer={peer}"
        elif kind == "understood":
            category, message = examples[int(random.integers(len(examples)))]
            if message.startswith("Bitcoin "):
                message = f"Cleared nodestate for peer={peer}"
        else:
            message = UNKNOWN[peer % len(UNKNOWN)].format(n=number, h="0a" * 32)
        bracket = "" if category == "none" else f"[{category}] "
        minute, second = number // 6000 % 60, number // 100 % 60
        lines.append(f"2026-11-25T04:{minute:02}:{second:02}.{number % 1_000_000:06}Z [msghand] {bracket}{message}")
    return ("\n".join(lines) + "\n").encode()


def _seconds(lines: bytes) -> float:
    """CPU time of following a file from its beginning to its end, chunks included."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "debug.log"
        path.write_bytes(b"")
        source = DebugLogSource(path, "bench")
        source.finish()
        path.write_bytes(lines)
        began = time.thread_time()
        while source.finish():
            pass
        took = time.thread_time() - began
        source.close()
    return took


TOPIC = Topic(
    "Reading the log",
    f"""`DebugLogSource` follows a file that is there already, in one thread; CPU time of that thread. Of the mixed lines
{", ".join(f"{share:.0%} are {name}" for name, share in SHARES.items())}; with microseconds and names of threads.""",
    measure,
)
