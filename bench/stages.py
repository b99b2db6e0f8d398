"""CPU time by stage of the path that every message goes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from peerwatch.app import pipeline
from peerwatch.app.recorder import Recorder
from peerwatch.app.state import Snapshots
from peerwatch.detect.runner import Runner
from peerwatch.peers.connections import Connections
from peerwatch.sources.usdt.ring import Ring
from peerwatch.sources.usdt.source import UsdtSource

_STEPS: tuple[tuple[Any, str, str], ...] = (
    (Ring, "read", "read the ring"),
    (UsdtSource, "read", "take records apart"),
    (pipeline, "dissect", "dissect"),
    (Connections, "feed", "follow connections"),
    (Runner, "feed", "detect"),
    (pipeline, "rates", "roll up"),
    (Recorder, "add", "write ahead"),
    (Recorder, "flush", "write ahead"),
    (Snapshots, "save", "keep snapshots"),
)
"""Where each stage begins, in order. What a stage calls of another counts for that one."""

STAGES = tuple(dict.fromkeys(stage for _, _, stage in _STEPS))


class Stages:
    """Counts, for as long as its context lasts, CPU nanoseconds of the calling thread by stage in `spent`."""

    def __init__(self) -> None:
        """Nothing is counted yet."""
        self.spent: Counter[str] = Counter()
        self._inside = 0
        self._original: list[tuple[Any, str, Any]] = []

    def __enter__(self) -> Self:
        """Begin."""
        for owner, name, stage in _STEPS:
            function = getattr(owner, name)
            self._original.append((owner, name, function))
            setattr(owner, name, self._counted(function, stage))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Put everything back."""
        for owner, name, function in self._original:
            setattr(owner, name, function)

    def _counted(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            outer, self._inside = self._inside, 0
            began = time.thread_time_ns()
            try:
                return function(*args, **kwargs)
            finally:
                took = time.thread_time_ns() - began
                self.spent[stage] += took - self._inside
                self._inside = outer + took

        return call
