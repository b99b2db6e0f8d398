"""The loop that everything runs in: sources are read, their chunks go the whole way, rows are recorded, incidents delivered.

One thread, one order: read, dissect, detect, write ahead, and only then tell the sources that they may forget.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from peerwatch.app.pipeline import Outcome, Pipeline, Settings
from peerwatch.app.recorder import Recorder, Unrecorded
from peerwatch.app.state import Snapshots, open_incidents
from peerwatch.detect.sight import NOT_RECORDED
from peerwatch.schema.batch import SECOND
from peerwatch.schema.table import Identity
from peerwatch.schema.tables.loss import Loss
from peerwatch.sinks._api import Sink, SinkRefusedError, SinkUnavailableError
from peerwatch.sources._api import Chunk, Source
from peerwatch.store.archive import Archive
from peerwatch.wire.raw import RawMessages

FLUSH_NS = SECOND
"""Rows are written at least this often."""

POLL_S = 0.1
"""Pause when no source has anything to speak of: what happens is seen at most this much later."""

LITTLE = 256 << 10
"""Bytes of messages up to which a source had little to say: it need not be asked again at once. A round costs some milliseconds
however few messages it brings, and while it goes on a node says a few more.
"""

MOST_WAITING = 256
"""Batches of incidents that wait for a sink which does not work at the moment; then the oldest are dropped."""

RECORDER = "recorder"
"""Source of the rows that say what could not be recorded."""


class Observer(Protocol):
    """Whoever wants to see what passes, such as a live view."""

    def saw(self, chunk: Chunk, outcome: Outcome) -> None:
        """A chunk went through."""

    def pulse(self) -> None:
        """A round of the loop is over."""


@dataclass(slots=True)
class _Unsaid:
    """What could not be recorded of a node and is not said in the archive yet; times are of events, ns UTC."""

    first_ts: int
    last_ts: int = 0
    events: int = 0
    bytes: int = 0
    reason: str = ""


class Watch:
    """Reads sources into an archive, with detection and alerts, until they end or it is told to stop."""

    def __init__(
        self, archive: Archive, settings: Settings, sinks: Sequence[Sink] = (), observer: Observer | None = None
    ) -> None:
        """Prepare; sources are given to `run`, because some want to know positions first (`recorder.position`)."""
        self.recorder = Recorder(archive)
        self.pipelines: dict[str, Pipeline] = {}
        self.unrecorded = 0
        """Events that could not be recorded."""
        self._settings = settings
        self._sinks = [(sink, deque[pa.RecordBatch](maxlen=MOST_WAITING)) for sink in sinks]
        self._observer = observer
        self._sealing: str | None = None
        """Why segments cannot become Parquet, as it was said last."""
        self._snapshots = Snapshots(archive.path, time.monotonic_ns)
        self._flushed = time.monotonic_ns()
        self._live = False
        self._marks: dict[str, int] = {}
        """Watermark of each node."""
        self._unsaid: dict[str, _Unsaid] = {}
        self._said: dict[str, int] = {}
        """Loss rows recorded of each node: the sequence of the next one."""

    def run(self, sources: Sequence[Source], stop: Callable[[], bool] = lambda: False) -> None:
        """Go on until all sources have ended, or `stop` says so; then write what is left and close the archive."""
        running = list(sources)
        self._live = any(s.live for s in sources)
        try:
            while running and not stop():
                idle = self._round(running)
                self._flush(sources)
                if self._observer:
                    self._observer.pulse()
                if idle and running and all(s.live for s in running):
                    time.sleep(POLL_S)
            for source in running:
                # What comes while this is being taken is left for the next time.
                while chunks := source.finish():
                    self._take(chunks)
            for pipeline in self.pipelines.values():
                outcome = pipeline.finish()
                for identity, rows in outcome.left:
                    self.recorder.add(identity, rows)
                self._record(pipeline, outcome)
            self._flush(sources, now=True)
            if self._unsaid:
                self._flush(sources, now=True)
        finally:
            for source in sources:
                source.close()
            self.recorder.close()

    def _round(self, running: list[Source]) -> bool:
        """Read every source once, and take those that have ended out of the list. Returns whether little came."""
        idle = True
        for source in list(running):
            chunks = source.read()
            if chunks is None:
                running.remove(source)
                continue
            idle &= not any(len(c.messages.buf) > LITTLE or c.rows for c in chunks)
            self._take(chunks)
        return idle

    def _take(self, chunks: Sequence[Chunk]) -> None:
        for chunk in chunks:
            pipeline = self._pipeline(chunk.identity.node)
            outcome = pipeline.feed(chunk)
            self._marks[chunk.identity.node] = chunk.watermark
            self.recorder.add(chunk.identity, outcome.rows, chunk.position)
            self._record(pipeline, outcome)
            for identity, rows in outcome.left:
                self.recorder.add(identity, rows)
            if chunk.ended:
                self.recorder.end(chunk.identity)
            if self._observer:
                self._observer.saw(chunk, outcome)

    def _pipeline(self, node: str) -> Pipeline:
        if node not in self.pipelines:
            past = open_incidents(self.recorder.archive.path, node) if self._live else []
            pipeline = Pipeline(node, self._settings, past)
            if self._live and not self._snapshots.load(pipeline):
                pipeline = Pipeline(node, self._settings, past)  # a snapshot that does not fit may have left its traces
            self.pipelines[node] = pipeline
        return self.pipelines[node]

    def _record(self, pipeline: Pipeline, outcome: Outcome) -> None:
        self.recorder.add(pipeline.identity, outcome.detected)
        if (incidents := outcome.detected.get("incident")) is not None:
            for _, waiting in self._sinks:
                waiting.append(incidents)
            self._deliver()
            self._flushed = 0  # due: whoever asks the archive is to know as soon as whoever is told

    def _deliver(self) -> None:
        """Give sinks what waits for them. One that does not work now is tried again with the next flush."""
        for sink, waiting in self._sinks:
            while waiting:
                try:
                    sink.write(waiting[0])
                except SinkUnavailableError:
                    break
                except SinkRefusedError:
                    pass
                waiting.popleft()

    def _flush(self, sources: Sequence[Source], *, now: bool = False) -> None:
        due = time.monotonic_ns() - self._flushed >= FLUSH_NS
        if not (due or now or self.recorder.full):
            return
        for node, unsaid in self._unsaid.items():
            self.recorder.add(self._identity(node), {"loss": self._loss(node, unsaid)})
        refused = self.recorder.flush()
        still = {lost.identity.node for lost in refused if lost.identity.source == RECORDER}
        for node in [n for n in self._unsaid if n not in still]:
            del self._unsaid[node]
            self._said[node] = self._said.get(node, 0) + 1
        for source in sources:
            source.commit()
        self._flushed = time.monotonic_ns()
        if self._live:
            self._snapshots.save(list(self.pipelines.values()), now=now)
        failure = self.recorder.archive.sealing_failure or self.recorder.archive.upkeep_failure
        if failure and failure != self._sealing:
            print(f"{failure}; nothing is lost, it is tried again", file=sys.stderr)  # noqa: T201 - like other errors of a run
        self._sealing = failure
        for lost in refused:
            if lost.identity.source != RECORDER:
                self._unrecorded(lost)
        self._deliver()

    def _unrecorded(self, lost: Unrecorded) -> None:
        """Detection hears at once that rows could not be recorded; the archive, when it can be written again."""
        node = lost.identity.node
        mark = self._marks[node]
        first, last = lost.span
        self.unrecorded += lost.events
        unsaid = self._unsaid.setdefault(node, _Unsaid(first))
        unsaid.first_ts, unsaid.last_ts, unsaid.reason = min(unsaid.first_ts, first), max(unsaid.last_ts, last), lost.reason
        unsaid.events += lost.events
        unsaid.bytes += lost.bytes
        heard = self._loss(node, _Unsaid(first, last, lost.events, lost.bytes, lost.reason))
        at = np.zeros(1, np.int64)
        chunk = Chunk(
            self._identity(node), mark, RawMessages.none(), np.array([mark]), np.zeros(0, np.int64), {"loss": heard}, {"loss": at}
        )
        pipeline = self.pipelines[node]
        self._record(pipeline, pipeline.feed(chunk))

    def _identity(self, node: str) -> Identity:
        return Identity(node, self._settings.session, RECORDER)

    def _loss(self, node: str, unsaid: _Unsaid) -> pa.RecordBatch:
        row = {"kind": "dropped", "probe": NOT_RECORDED, "first_ts": unsaid.first_ts, "last_ts": unsaid.last_ts}
        row |= {"ts": unsaid.last_ts, "seq": self._said.get(node, 0), "count": unsaid.events, "bytes": unsaid.bytes}
        row["reason"] = f"{unsaid.reason[:1].upper()}{unsaid.reason[1:]}."
        return Loss.build(self._identity(node), {name: [value] for name, value in row.items()})
