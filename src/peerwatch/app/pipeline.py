"""One node's way from a source's chunks to rows, findings and incidents. Does no I/O."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from peerwatch.alerts.book import IncidentBook
from peerwatch.alerts.rows import AlertRows
from peerwatch.app.rollup import rates
from peerwatch.detect.registry import all_detectors
from peerwatch.detect.runner import Detected, Runner
from peerwatch.peers.agreement import Agreement
from peerwatch.peers.connections import Connections, Left
from peerwatch.peers.origins import Origins
from peerwatch.peers.ours import Ours
from peerwatch.peers.whereabouts import Whereabouts
from peerwatch.schema.batch import Batch, Rows
from peerwatch.schema.table import Identity
from peerwatch.schema.tables.loss import Loss
from peerwatch.schema.tables.origin import Origin
from peerwatch.sources._api import Chunk
from peerwatch.wire.bodies import bodies
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
    lacking: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Columns by table that were never recorded in what is replayed."""
    bodies: bool = False
    """Whether to give payloads and whole ids, too."""
    origins: Origins = field(default_factory=Origins)
    """What is known about addresses."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one chunk: rows of its source, rows of detection, and what is left of sources that have ended."""

    rows: Mapping[str, pa.RecordBatch]
    detected: Mapping[str, pa.RecordBatch]
    left: Sequence[tuple[Identity, Mapping[str, pa.RecordBatch]]] = ()


class Pipeline:
    """Dissects, rolls up and detects for one node. Several sources of that node may feed it."""

    def __init__(self, node: str, settings: Settings, incidents: Iterable[Mapping[str, Any]] = ()) -> None:
        """Set up all detectors for `node`.

        Args:
            node: its name.
            settings: shared by all nodes.
            incidents: rows of incidents that were open when recording stopped; they go on.
        """
        detectors = [cls(settings.options.get(n)) for n, cls in all_detectors().items()]
        self.runner = Runner(node, detectors, clock=settings.clock, lacking=settings.lacking)
        self.connections = Connections(node)
        self.agreement = Agreement(node)
        self.ours = Ours()
        self.whereabouts = Whereabouts(settings.origins, self.ours)
        self.book = IncidentBook(node, hold_s=settings.hold_s)
        self.book.restore(incidents)
        self._alerts = AlertRows(node, settings.session)
        self.identity = self._alerts.identity
        self._key = settings.key
        self._bodies = settings.bodies

    def feed(self, chunk: Chunk) -> Outcome:
        """Take one chunk the whole way."""
        rows = dict(chunk.rows)
        event_of = dict(chunk.row_events)
        if len(chunk.messages):
            dissection = dissect(chunk.identity, chunk.messages, self._key)
            rows |= dissection.tables
            # When nothing but messages has come, each is the event of its own number.
            alone = len(chunk.message_events) == len(chunk.events)
            event_of |= {name: of if alone else chunk.message_events[of] for name, of in dissection.message_of.items()}
        left: list[Left] = []
        if not chunk.recorded:
            made, made_of = self.connections.feed(chunk.identity, rows, event_of, chunk.events, chunk.messages)
            rows |= made
            event_of |= made_of
            left = self.connections.replaced()
            if chunk.ended:
                left.append((chunk.identity, self.connections.end(chunk.identity)))
        self.ours.learn(chunk.identity, rows)
        if not chunk.recorded:
            origins, origins_of = self.whereabouts.feed(chunk.identity, rows, event_of)
            if origins is not None:
                rows[Origin.name], event_of[Origin.name] = origins, origins_of
        judged, judged_of = self.ours.without(chunk.identity, rows, event_of)
        found = self.runner.feed(Batch(chunk.identity, chunk.watermark, judged, chunk.events, judged_of))
        if not chunk.recorded and (told := self.agreement.feed(chunk.identity, rows)):
            identity, losses = told
            left.append((identity, {Loss.name: losses}))
            found += self.runner.feed(_alone(identity, losses, chunk.watermark))
        if len(chunk.messages):
            rows["rate"] = rates(chunk.identity, rows["message"])
            if self._bodies:
                rows |= bodies(chunk.identity, chunk.messages, dissection)
        return Outcome(rows, self._told(found, self.runner.elapsed), left)

    def finish(self) -> Outcome:
        """The sources have ended: the last second is over."""
        found = self.runner.finish()
        return Outcome({}, self._told(found, self.runner.elapsed), self.connections.finish())

    def snapshot(self) -> dict[str, Any]:
        """What detection and connections know, as JSON-able values."""
        return {
            "runner": self.runner.snapshot(),
            "connections": self.connections.snapshot(),
            "ours": self.ours.snapshot(),
            "whereabouts": self.whereabouts.snapshot(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a snapshot.

        Raises:
            any exception: it is none, or one of other detectors; the pipeline is not to be used then.
        """
        self.runner.restore(state["runner"])
        self.connections.restore(state["connections"])
        self.ours.restore(state["ours"])
        self.whereabouts.restore(state["whereabouts"])

    def _told(self, found: list[Detected], elapsed: int) -> dict[str, pa.RecordBatch]:
        changed = self.book.take(found, elapsed)
        tables = {}
        if found:
            tables["finding"] = self._alerts.findings(found)
        if changed:
            tables["incident"] = self._alerts.incidents(changed)
        return tables


def _alone(identity: Identity, losses: pa.RecordBatch, watermark: int) -> Batch:
    """A batch of `loss` rows, each an event."""
    events = Rows(losses)["ts"]
    return Batch(identity, watermark, {Loss.name: losses}, events, {Loss.name: np.arange(len(events))})
