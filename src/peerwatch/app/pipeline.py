"""One node's way from a source's chunks to rows, findings and incidents. Does no I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from peerwatch.alerts.book import IncidentBook
from peerwatch.alerts.rows import AlertRows
from peerwatch.app.rollup import rates
from peerwatch.detect.registry import all_detectors
from peerwatch.detect.runner import Detected, Runner
from peerwatch.schema.batch import Batch
from peerwatch.sources._api import Chunk
from peerwatch.wire.dissect import dissect


@dataclass(frozen=True, slots=True)
class Settings:
    """What the pipelines of one run share."""

    key: bytes
    """The archive's secret for inventory items."""
    session: int
    """ns UTC; scopes the rows of detection."""
    options: Mapping[str, Mapping[str, float]]
    """Options of detectors, by detector."""
    hold_s: float | None = None
    """Seconds without a finding after which an incident is resolved; None for what each kind says."""
    clock: Callable[[], int] | None = None
    """ns, monotonic, for measuring the cost of detectors."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one chunk: rows of its source, and rows of detection."""

    rows: Mapping[str, pa.RecordBatch]
    detected: Mapping[str, pa.RecordBatch]


class Pipeline:
    """Dissects, rolls up and detects for one node. Several sources of that node may feed it."""

    def __init__(self, node: str, settings: Settings, incidents: Iterable[Mapping[str, Any]] = ()) -> None:
        """Set up all detectors for `node`.

        Args:
            node: its name.
            settings: shared by all nodes.
            incidents: rows of incidents that were open when recording stopped; they go on.
        """
        self.runner = Runner(node, [cls(settings.options.get(n)) for n, cls in all_detectors().items()], clock=settings.clock)
        self.book = IncidentBook(node, hold_s=settings.hold_s)
        self.book.restore(incidents)
        self._alerts = AlertRows(node, settings.session)
        self.identity = self._alerts.identity
        self._key = settings.key

    def feed(self, chunk: Chunk) -> Outcome:
        """Take one chunk the whole way."""
        rows = dict(chunk.rows)
        event_of = dict(chunk.row_events)
        if len(chunk.messages):
            dissection = dissect(chunk.identity, chunk.messages, self._key)
            rows |= dissection.tables
            event_of |= {name: chunk.message_events[of] for name, of in dissection.message_of.items()}
        found = self.runner.feed(Batch(chunk.identity, chunk.watermark, rows, chunk.events, event_of))
        if len(chunk.messages):
            rows["rate"] = rates(chunk.identity, rows["message"])
        return Outcome(rows, self._told(found, self.runner.elapsed))

    def finish(self) -> Outcome:
        """The sources have ended: the last second is over."""
        found = self.runner.finish()
        return Outcome({}, self._told(found, self.runner.elapsed))

    def _told(self, found: list[Detected], elapsed: int) -> dict[str, pa.RecordBatch]:
        changed = self.book.take(found, elapsed)
        tables = {}
        if found:
            tables["finding"] = self._alerts.findings(found)
        if changed:
            tables["incident"] = self._alerts.incidents(changed)
        return tables
