"""The whole path on one core, from a real ring to the archive."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from bench.alone import alone, stay_on_one_core
from bench.figures import Budget, Figure, Scale, Topic
from bench.player import mix_file, play, private, workplace
from bench.stages import STAGES, Stages
from peerwatch.app.config import Config
from peerwatch.app.live import capture_limits
from peerwatch.app.pipeline import Outcome, Pipeline, Settings
from peerwatch.app.watch import Watch
from peerwatch.sources._api import Chunk
from peerwatch.sources.usdt.discover import Wanted
from peerwatch.sources.usdt.kernel import RING_BYTES, Kernel
from peerwatch.sources.usdt.link import Link, pair
from peerwatch.sources.usdt.slots import Slots
from peerwatch.sources.usdt.source import UsdtSource
from peerwatch.sources.usdt.tracer import Tracer
from peerwatch.store.archive import Archive
from peerwatch.store.writer import Limits
from tests.kernel.watched import messages_fired

NODE = "bench"
NO_LIMITS = Limits(age_s=float("inf"), size_bytes=1 << 62)
"""Nothing is sealed before the end, so that sealing can be told from the rest."""

PATIENCE_S = 120.0
"""More than any run takes."""

FASTEST = Budget(250_000, 700_000)
WITHOUT_TX = Budget(250_000, 1_000_000)

SEAL, REST = "turn into Parquet", "the rest"


@dataclass(slots=True)
class Sample:
    """One run over a full ring, from the end of its first chunk on: what comes before has one-time costs."""

    messages: int = 0
    bytes: int = 0
    """On the wire."""
    recorded_s: float = 0.0
    """Until everything was in the write-ahead files."""
    cpu_s: float = 0.0
    """CPU time until then."""
    sealed_cpu_s: float = 0.0
    """CPU time until everything was in Parquet files."""
    stages: Counter[str] = field(default_factory=Counter)
    """CPU ns."""
    detectors: dict[str, int] = field(default_factory=dict)
    """CPU ns of each."""


class _Counter:
    """Counts what passes, from the end of the first chunk with messages on; an Observer."""

    def __init__(self, stages: Stages) -> None:
        self.sample = Sample()
        self.seen = 0
        self.began = self.cpu = 0.0
        self.pipelines: dict[str, Pipeline] = {}
        self._stages = stages

    def saw(self, chunk: Chunk, _outcome: Outcome) -> None:
        """Count a chunk."""
        self.seen += len(chunk.messages)
        if self.began:
            self.sample.messages += len(chunk.messages)
            self.sample.bytes += int(chunk.messages.size.sum())
        elif len(chunk.messages):
            self._stages.spent.clear()
            for running in self.pipelines[NODE].runner.running.values():
                running.cost_ns = 0
            self.began, self.cpu = time.monotonic(), time.process_time()

    def pulse(self) -> None:
        """Nothing to do."""


class _Source(UsdtSource):
    """Notes when it is closed, which the loop does as soon as everything is recorded."""

    closed = cpu = 0.0

    def close(self) -> None:
        """Close it."""
        if not self.closed:
            self.closed, self.cpu = time.monotonic(), time.process_time()
        super().close()


def sample(play_file: str) -> Sample:
    """Fill the ring while nobody reads it, and then time the watcher's loop over it, on one core.

    Raises:
        RuntimeError: the ring was too small, or rows are missing.
    """
    with workplace() as folder, Archive.create_or_open(folder / "archive", NO_LIMITS) as archive:
        binary = private(folder)
        kernel = Kernel.load(ring_bytes=RING_BYTES)
        tracer = Tracer(kernel, [Wanted(NODE, binary=str(binary))], lambda _: None)
        tracer.start()
        ours, theirs = pair()
        tracer.admit(ours)
        with Stages() as stages:
            counter = _Counter(stages)
            settings = Settings(archive.inventory_key, time.time_ns(), {}, clock=time.thread_time_ns)
            loop = Watch(archive, settings, observer=counter)
            counter.pipelines = loop.pipelines
            source = _Source(Link(theirs), archive.node_name, loop.recorder.position, capture_limits(Config()))
            report = play(binary, "--speed", "max", "--threads", 1, play_file, meanwhile=lambda: tracer.step(0.01))
            for _ in range(5):
                tracer.step(0.02)
            fired = messages_fired(report)
            if Slots(kernel.fds["slots"]).live["dropped"].any():
                raise RuntimeError(f"the ring is too small for {fired} messages")
            stay_on_one_core()
            deadline = time.monotonic() + PATIENCE_S
            loop.run([source], lambda: counter.seen >= fired or time.monotonic() > deadline)
            done = time.process_time()
        tracer.close()
        kernel.close()
        result = counter.sample
        result.recorded_s, result.cpu_s = source.closed - counter.began, source.cpu - counter.cpu
        result.sealed_cpu_s = done - counter.cpu
        result.stages = +stages.spent
        result.detectors = {name: r.cost_ns for name, r in loop.pipelines[NODE].runner.running.items()}
        if counter.seen != fired or not result.messages:
            raise RuntimeError(f"{counter.seen} of {fired} messages came, {result.messages} of them after the first chunk")
        return result


def measure(scale: Scale) -> list[Figure]:
    """Messages a second with and without transactions, and CPU time by stage."""
    count, times = scale.of(600_000, 80_000), scale.of(4, 1)
    mixed = [alone(sample, str(mix_file(count))) for _ in range(times)]
    no_tx = [alone(sample, str(mix_file(count, without=("tx",)))) for _ in range(times)]

    def each(what: str, value: str, samples: list[Sample], budget: Budget | None = None) -> Figure:
        return Figure(what, "msg/s", [s.messages / getattr(s, value) for s in samples], budget, is_rate=True)

    figures = [
        each("recorded (in the write-ahead files)", "recorded_s", mixed, FASTEST),
        each("recorded, by CPU time", "cpu_s", mixed),
        each("recorded and turned into Parquet, by CPU time", "sealed_cpu_s", mixed, FASTEST),
        each("recorded, without `tx`", "recorded_s", no_tx, WITHOUT_TX),
        each("recorded, without `tx`, by CPU time", "cpu_s", no_tx),
        Figure("payload recorded", "MB/s", [s.bytes / s.recorded_s / 1e6 for s in mixed], is_rate=True),
    ]
    figures += [Figure(f"CPU: {s}", "µs/msg", [m.stages[s] / m.messages / 1e3 for m in mixed]) for s in STAGES]
    rest = [(s.cpu_s * 1e9 - s.stages.total()) / s.messages / 1e3 for s in mixed]
    seal = [(s.sealed_cpu_s - s.cpu_s) * 1e6 / s.messages for s in mixed]
    figures += [Figure(f"CPU: {REST}", "µs/msg", rest), Figure(f"CPU: {SEAL}", "µs/msg", seal)]
    detectors = mixed[0].detectors
    figures += [Figure(f"detector {d}", "µs/msg", [m.detectors[d] / m.messages / 1e3 for m in mixed]) for d in detectors]
    return figures


TOPIC = Topic(
    "The whole path on one core",
    f"""A ring of {RING_BYTES >> 20} MiB is filled by the player with real messages in a mix like mainnet's while nobody reads
it. Then the watcher's own loop reads it, kept on one core: records, dissecting, detectors, roll-ups, write-ahead files. Turning
these into Parquet, which usually goes on in the background, is done at the end and counted apart. What comes before the end of
the first chunk (imports, opening files) is not counted.""",
    measure,
    traces=True,
)
