"""The address manager: what it costs to find out what changed between two answers of `getrawaddrman`."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np

from bench.alone import alone
from bench.figures import Budget, Figure, Scale, Topic
from peerwatch.peers.addrman import AddressManager
from peerwatch.peers.addrman_entries import NEW_BUCKETS, TRIED_BUCKETS
from peerwatch.schema.batch import SECOND
from peerwatch.schema.table import Identity
from peerwatch.sources.rpc._api import Answer, Known
from peerwatch.sources.rpc.readers.addrman import RAW, Addrman, read_tables

NOW_S = 1_760_000_000
IDENTITY = Identity("bench", NOW_S * SECOND, "rpc")
FULL = 0.977
"""Share of the places that are taken: 80,000."""
CHANGED = 0.02
"""Share of the entries that others have replaced since, and that were seen later."""
SOURCES = 3000

TIME, MEMORY, STATE, HELD = Budget(1.0, 0.5), Budget(200.0, 100.0), Budget(30.0, 15.0), Budget(200.0, 50.0)


def measure(scale: Scale) -> list[Figure]:
    """Two answers, each of several times in a process of its own."""
    full = scale.of(1000, 20) / 1000 * FULL
    runs = [alone(run, full, seed) for seed in range(scale.of(5, 1))]

    def figure(name: str, unit: str, key: str, budget: Budget | None = None) -> Figure:
        return Figure(name, unit, [each[key] for each in runs], budget)

    return [
        figure("entries", "", "entries"),
        figure("an answer", "MB", "answer"),
        figure("the first answer: all rows, netgroups looked up", "s", "first", TIME),
        figure("a following answer", "s", "following", TIME),
        figure("rows of a following answer", "", "rows"),
        figure("memory on top of the answer", "MB", "memory", MEMORY),
        figure("kept between answers", "MB", "state", STATE),
        figure("longest time that other threads waited", "ms", "held", HELD),
    ]


def run(full: float, seed: int) -> dict[str, float]:
    """Read two answers of tables so full."""
    draw = np.random.default_rng(seed)
    first, second = _answers(draw, full)
    reader = Addrman(Known())
    seconds: list[float] = []
    peaks: list[float] = []
    waits: list[float] = []
    rows = 0
    for text, at in ((first, NOW_S), (second, NOW_S + 300)):
        before = _reset_peak()
        with _watched(waits):
            began = time.thread_time()
            tables = [
                table.build(IDENTITY, {**columns, "seq": np.arange(len(columns["ts"]))})
                for table, columns in reader.read(Answer(RAW, text, at * SECOND, at * SECOND))
            ]
            seconds.append(time.thread_time() - began)
        peaks.append(_memory("VmHWM") - before)
        rows = tables[0].num_rows
    state, _ = AddressManager(lambda _: None).update(read_tables(second)[0])
    return {
        "entries": float(len(state)),
        "answer": len(second) / 1e6,
        "first": seconds[0],
        "following": seconds[1],
        "rows": float(rows),
        "memory": max(peaks) / 1e6,
        "state": state.get_total_buffer_size() / 1e6,
        "held": 1e3 * max(waits),
    }


def _answers(draw: np.random.Generator, full: float) -> tuple[bytes, bytes]:
    tables = {"new": NEW_BUCKETS, "tried": TRIED_BUCKETS}
    state = {
        name: {f"{b}/{p}": _entry(draw) for b in range(buckets) for p in range(64) if draw.random() < full}
        for name, buckets in tables.items()
    }
    before = json.dumps(state).encode()
    for table in state.values():
        for place, chance in zip(table, draw.random(len(table)), strict=True):
            if chance < CHANGED:
                table[place] = _entry(draw)
            elif chance < 2 * CHANGED:
                table[place]["time"] += 7200
    return before, json.dumps(state).encode()


def _entry(draw: np.random.Generator) -> dict[str, Any]:
    """An entry; networks are mixed as they roughly are in the address managers of nodes that reach all of them."""
    network = draw.choice(["ipv4", "ipv6", "onion", "i2p"], p=[0.55, 0.15, 0.25, 0.05])
    raw = draw.bytes(35)
    name = base64.b32encode(raw).decode().lower()
    source = int(draw.integers(SOURCES))
    address = {
        "ipv4": ".".join(str(byte) for byte in raw[:4]),
        "ipv6": "2a" + ":".join(raw[i : i + 2].hex() for i in range(1, 17, 2))[2:],
        "onion": f"{name}.onion",
        "i2p": f"{name[:51]}a.b32.i2p",
    }
    return {
        "address": address[str(network)],
        "mapped_as": int(draw.integers(1, 400_000)),
        "port": 8333,
        "services": 1033,
        "time": NOW_S - int(draw.exponential(5 * 86_400)),
        "network": str(network),
        "source": f"{source % 200 + 11}.{source // 200}.7.9",
        "source_network": "ipv4",
        "source_mapped_as": source + 1,
    }


@contextmanager
def _watched(waits: list[float]) -> Iterator[None]:
    """Notes how long a thread that wants to run each millisecond did not."""
    stop = Event()

    def beat() -> None:
        last = time.monotonic()
        while not stop.wait(0.001):
            now = time.monotonic()
            waits.append(now - last)
            last = now

    thread = Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _reset_peak() -> float:
    """Forget the peak of this process's memory (proc(5), clear_refs), and what it is now, B."""
    Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def _memory(field: str) -> float:
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return float(lines[field].split()[0]) * 1024


TOPIC = Topic(
    "The address manager",
    f"""Two answers of `getrawaddrman` of a node whose tables are nearly full: decoding, the difference, netgroups of what is new,
and the rows as Arrow, in one thread; CPU time. {CHANGED:.0%} of the entries have been replaced in between, and as many have a
later time. The node tells the autonomous systems. A second thread wants to run each millisecond.""",
    measure,
)
