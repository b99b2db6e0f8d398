"""What tracing costs the thread that is traced."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench.figures import Budget, Figure, Scale, Topic
from bench.player import play, private, workplace
from peerwatch.app.live import HEAD_BYTES
from peerwatch.sources.usdt.kernel import Kernel
from peerwatch.sources.usdt.probes import HEADER
from peerwatch.sources.usdt.ring import Ring
from peerwatch.sources.usdt.slots import Control, Slots

SIZES = (0, 61, 250, 1_000, 10_000, 100_000, 1_000_000)
SMALL = 1_000
"""The budget is for payloads up to this; nearly all are."""

BUDGET = Budget(1.0, 0.5)

RING_BYTES = 256 << 20
ROUNDS = 5
MOST = 40_000
"""Times that a probe is hit a round; fewer when the ring would not hold all rounds."""


def measure(scale: Scale) -> list[Figure]:
    """The probe unattached, attached to a program that does nothing, and traced, one right after the other."""
    times, most = scale.of(6, 1), scale.of(MOST, 200)
    figures: list[Figure] = []
    with workplace() as folder:
        binary = private(folder)
        kernel = Kernel.load(ring_bytes=RING_BYTES)
        try:
            unattached = [_cost(binary, SIZES[0], most) for _ in range(times)]
            figures.append(Figure("probe that nobody is attached to", "ns", unattached))
            for size in SIZES:
                room = RING_BYTES // (2 * ROUNDS * (size + HEADER.itemsize + 16))
                name = f"{size:,} bytes" if size else "no payload"
                cost = partial(_attached, kernel, binary, size, min(most, room))
                figures += _pairs(name, times, cost, BUDGET if size <= SMALL else None)
            Control(kernel.fds["control"]).set_limits({}, HEAD_BYTES)
            name = f"{SIZES[-1]:,} bytes, {HEAD_BYTES} of them kept"
            figures += _pairs(name, times, partial(_attached, kernel, binary, SIZES[-1], most), BUDGET)
        finally:
            kernel.close()
    return figures


def _pairs(name: str, times: int, cost: Callable[[bool], float], budget: Budget | None) -> list[Figure]:
    """Figures of one payload. `cost` is asked for the no-op (True) and for tracing in turn: the same machine for both.

    Each tracing is compared with the least of all no-ops: disturbances of these would make it look cheaper than it is.
    """
    nothing, traced = zip(*((cost(True), cost(False)) for _ in range(times)), strict=True)
    least = min(nothing)
    beyond = [(ns - least) / 1e3 for ns in traced]
    return [
        Figure(f"{name}: attached no-op probe", "µs", [n / 1e3 for n in nothing]),
        Figure(f"{name}: traced, beyond the no-op probe", "µs", beyond, budget),
        Figure(f"{name}: traced / no-op probe", "", [ns / least for ns in traced]),
    ]


def _attached(kernel: Kernel, binary: Path, size: int, count: int, noop: bool) -> float:  # noqa: FBT001 - the one that varies
    """Ns a probe while the kernel is attached."""
    before = _sent(kernel)
    attached = kernel.attach(binary, noop=noop)
    try:
        ns = _cost(binary, size, count)
    finally:
        kernel.detach(attached)
    if not noop and _sent(kernel) - before < ROUNDS * count:
        raise RuntimeError("not every hit of the probe became a record")
    ring = Ring(kernel.fds["ring"], kernel.ring_bytes)
    while len(ring.read(8 << 20)[1]):
        ring.publish(ring.position)
    return ns


def _sent(kernel: Kernel) -> int:
    return int(Slots(kernel.fds["slots"]).live["sent"].sum())


def _cost(binary: Path, size: int, count: int) -> float:
    """Ns a probe, the least of some rounds."""
    return float(play(binary, "--rounds", ROUNDS, "--cost", size, count)["least_ns"])


TOPIC = Topic(
    "Cost for the node",
    """The player hits `net:inbound_message` again and again, always with the same resident payload, all of which is kept unless
said otherwise; nobody reads the ring meanwhile. A figure is the least of five rounds. Both kinds of probe are measured in turn,
and each tracing is compared with the least of these no-ops.""",
    measure,
    traces=True,
)
