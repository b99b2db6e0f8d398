"""The loop that everything runs in: sources are read, their chunks go the whole way, rows are recorded, incidents delivered.

One thread, one order: read, dissect, detect, write ahead, and only then tell the sources that they may forget.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from peerwatch.app.pipeline import Outcome, Pipeline, Settings
from peerwatch.app.recorder import Recorder, Unrecorded
from peerwatch.app.state import Snapshots, open_incidents
from peerwatch.schema.batch import SECOND
from peerwatch.schema.table import Identity
from peerwatch.schema.tables.loss import Loss
from peerwatch.sinks._api import Sink
from peerwatch.sources._api import Chunk, Source
from peerwatch.store.archive import Archive
from peerwatch.wire.raw import RawMessages

FLUSH_NS = SECOND
"""Rows are written at least this often."""

POLL_S = 0.1
"""Pause when no source has anything: what happens is seen at most this much later."""


class Observer(Protocol):
    """Whoever wants to see what passes, such as a live view."""

    def saw(self, chunk: Chunk, outcome: Outcome) -> None:
        """A chunk went through."""

    def pulse(self) -> None:
        """A round of the loop is over."""


class Watch:
    """Reads sources into an archive, with detection and alerts, until they end or it is told to stop."""

    def __init__(
        self, archive: Archive, settings: Settings, sinks: Sequence[Sink] = (), observer: Observer | None = None
    ) -> None:
        """Prepare; sources are given to `run`, because some want to know positions first (`recorder.position`)."""
        self.recorder = Recorder(archive)
        self.pipelines: dict[str, Pipeline] = {}
        self._settings = settings
        self._sinks = sinks
        self._observer = observer
        self._snapshots = Snapshots(archive.path, time.monotonic_ns)
        self._flushed = time.monotonic_ns()
        self._live = False
        self._unrecorded = 0
        """Sequence of the loss rows that say what could not be recorded."""

    def run(self, sources: Sequence[Source], stop: Callable[[], bool] = lambda: False) -> None:
        """Go on until all sources have ended, or `stop` says so; then write what is left and close the archive."""
        running = list(sources)
        self._live = any(s.live for s in sources)
        try:
            while running and not stop():
                waiting = True
                for source in list(running):
                    chunks = source.read()
                    if chunks is None:
                        running.remove(source)
                        continue
                    waiting &= not any(len(c.messages) or c.rows for c in chunks)
                    self._take(chunks)
                self._flush(running)
                if self._observer:
                    self._observer.pulse()
                if running and waiting and all(s.live for s in running):
                    time.sleep(POLL_S)
            for source in running:
                self._drain(source)
            for pipeline in self.pipelines.values():
                self._record(pipeline, pipeline.finish())
            self._flush(running, now=True)
        finally:
            for source in sources:
                source.close()
            self.recorder.close()

    def _drain(self, source: Source) -> None:
        """Take what a live source still has; what comes while it is being taken is left for the next time."""
        while True:
            chunks = source.finish()
            self._take(chunks)
            if not any(len(c.messages) for c in chunks):
                return

    def _take(self, chunks: Sequence[Chunk]) -> None:
        for chunk in chunks:
            pipeline = self._pipeline(chunk.identity.node)
            outcome = pipeline.feed(chunk)
            self.recorder.add(chunk.identity, outcome.rows, chunk.position)
            self._record(pipeline, outcome)
            if chunk.ended:
                self.recorder.end(chunk.identity)
            if self._observer:
                self._observer.saw(chunk, outcome)

    def _pipeline(self, node: str) -> Pipeline:
        if node not in self.pipelines:
            past = open_incidents(self.recorder.archive.path, node) if self._live else []
            pipeline = self.pipelines[node] = Pipeline(node, self._settings, past)
            if self._live:
                self._snapshots.load(pipeline)
        return self.pipelines[node]

    def _record(self, pipeline: Pipeline, outcome: Outcome) -> None:
        self.recorder.add(pipeline.identity, outcome.detected)
        if (incidents := outcome.detected.get("incident")) is not None:
            for sink in self._sinks:
                sink.write(incidents)

    def _flush(self, sources: Sequence[Source], *, now: bool = False) -> None:
        due = time.monotonic_ns() - self._flushed >= FLUSH_NS
        if not (due or now or self.recorder.full):
            return
        refused = self.recorder.flush()
        for source in sources:
            source.commit()
        self._flushed = time.monotonic_ns()
        if self._live:
            self._snapshots.save(list(self.pipelines.values()), now=now)
        for lost in refused:
            self._say_unrecorded(lost)

    def _say_unrecorded(self, lost: Unrecorded) -> None:
        """Detection hears at once that rows could not be recorded; the archive, when it can be written again."""
        now = time.time_ns()
        identity = Identity(lost.identity.node, self._settings.session, "recorder")
        row = {"kind": "dropped", "probe": "archive", "first_ts": now - FLUSH_NS, "last_ts": now, "ts": now}
        row |= {"seq": self._unrecorded, "count": lost.rows, "bytes": lost.bytes, "reason": f"Not recorded: {lost.reason}"}
        self._unrecorded += 1
        batch = Loss.build(identity, {name: [value] for name, value in row.items()})
        at = np.zeros(1, np.int64)
        self._take(
            [Chunk(identity, now, RawMessages.none(), np.array([now]), np.zeros(0, np.int64), {"loss": batch}, {"loss": at})]
        )
