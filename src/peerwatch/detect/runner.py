"""Runs detectors over the rows of one node, second by second of event time.

The second of an event is the highest second of any event before it and of its own, in order of arrival; so time does not go
back, and a row that comes late belongs to the present second with its own `ts`. The one exception is a `loss` row of kind
`clock` from an earlier second: the wall clock was set back. Then the present second is over, and the next one is that of the row.
A second is over when a later event or a watermark says so. Every second is given whole (`update`, possibly in several calls) and
then ticked once, whatever the batches, so findings depend on the rows alone. Which seconds are ticked while nothing happens: see
`detect.clock`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from peerwatch.detect._api import Detector, Finding, Kind, Severity, SubjectKind
from peerwatch.detect.clock import idle_seconds
from peerwatch.detect.known_peers import KnownPeers
from peerwatch.detect.processes import READS, Processes
from peerwatch.detect.sight import Sight
from peerwatch.detect.slices import Whole
from peerwatch.schema.batch import SECOND, Array, Batch, Rows
from peerwatch.schema.registry import all_tables
from peerwatch.wire.raw import printable

FAILURES = 3
"""A detector that failed so often is not run again: its findings would no longer mean anything."""

SET_BACK_S = 2
"""A clock row more than so many seconds before the present second begins an earlier one; less is made up for by waiting."""

AHEAD_S = 86_400
"""An event so far ahead of its batch's watermark does not move the clock: whoever wrote its time was wrong. A source may know
only roughly how far it has come, but not to the day."""

_AHEAD = -1
"""In place of the second of such an event."""

OWN_READS = {"loss": ("kind", "probe", "first_ts", "last_ts", "count"), "connection": ("peer", "address"), "node": READS}
"""Tables and columns that the runner itself reads, where an archive has them."""

STATE_TABLES = frozenset(name for name, table in all_tables().items() if table.is_state)
"""Tables whose rows are looks at the node, which do not count among its events."""

DETECTOR_FAILED = Kind(
    name="detector_failed",
    severity=Severity.NOTICE,
    meaning="A detector failed; what it watches for may go unnoticed.",
    unit="failures",
    advice="This is a bug in the detector. Report it with the error given here; the other detectors go on.",
    normal="Detectors do not fail.",
)


@dataclass(frozen=True, slots=True)
class Detected:
    """A finding, who found it and when: `second` of event time, and `in_sight_s` seconds after the node came into sight.

    `addresses` has the addresses of its peers as known then; `back_s` is by how much the clock had been set back so far.
    """

    second: int
    detector: str
    kind: Kind
    finding: Finding
    addresses: Mapping[int, str] = field(default_factory=dict)
    in_sight_s: int = 0
    back_s: int = 0

    @property
    def elapsed(self) -> int:
        """Its second on a clock that is never set back."""
        return self.second + self.back_s


@dataclass(slots=True)
class Running:
    """A detector at work: how often it failed, what it cost, and which tables were withheld because columns are missing."""

    detector: Detector
    fresh: str
    """Its snapshot from before any row, as JSON."""
    failures: int = 0
    """Seconds in which it failed."""
    failed_in: int | None = None
    cost_ns: int = 0
    findings: int = 0
    withheld: dict[str, list[str]] = field(default_factory=dict)

    @property
    def kinds(self) -> dict[str, Kind]:
        """Its kinds by name."""
        return {kind.name: kind for kind in self.detector.kinds}

    @property
    def disabled(self) -> bool:
        """Whether it failed too often to be run."""
        return self.failures >= FAILURES


class Runner:
    """All detectors of one node. Several sources of that node may feed it."""

    def __init__(
        self,
        node: str,
        detectors: Iterable[Detector],
        *,
        clock: Callable[[], int] | None = None,
        lacking: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        """Run `detectors` for `node`.

        Args:
            node: its name.
            detectors: fresh ones.
            clock: ns, monotonic; measures what each detector costs. None leaves that unmeasured.
            lacking: columns by table that were never recorded, whatever stands in them.
        """
        self.node = node
        self._lacking = lacking or {}
        self.running = {d.name: Running(d, json.dumps(d.snapshot())) for d in detectors}
        for running in self.running.values():
            running.detector.node = node
        self._clock = clock or (lambda: 0)
        self._second: int | None = None
        self._last_event = 0
        self._since = 0
        self._back_s = 0
        self._sight = Sight()
        self._peers = KnownPeers()
        self._process = Processes()
        self._own: set[str] = set()
        self._wanted = {table.name for r in self.running.values() for table in r.detector.reads} | OWN_READS.keys()

    @property
    def second(self) -> int:
        """The present second: all before it are over. 0 before the first event."""
        return self._second or 0

    @property
    def elapsed(self) -> int:
        """The present second on a clock that is never set back; like it but for what was set back since this runner began."""
        return self.second + self._back_s

    def feed(self, batch: Batch) -> list[Detected]:
        """Take a batch; returns what was found in it, in order of time."""
        found: list[Detected] = []
        wholes = {name: Whole(rows) for name, rows in batch.tables.items() if rows.num_rows and name in self._wanted}
        columns = {name: set(whole.batch.schema.names) for name, whole in wholes.items()}
        self._own = {name for name, needed in OWN_READS.items() if columns.get(name, set()).issuperset(needed)}
        self._withhold(columns)
        if len(batch.events):
            mark = batch.watermark // SECOND
            seconds = np.where(batch.events // SECOND > mark + AHEAD_S, _AHEAD, batch.events // SECOND)
            if self._second is None:
                self._second = self._last_event = self._since = int(seconds[0]) if seconds[0] != _AHEAD else mark
            clock = wholes["loss"].where("kind", "clock") if "loss" in self._own else np.zeros(0, bool)
            steps = set(batch.event_of["loss"][clock].tolist()) if len(clock) else set()
            for first, stop in pairwise(sorted({0, *steps, len(seconds)})):
                if first in steps:
                    self._set_back(int(seconds[first]), found)
                self._stretch(batch, wholes, seconds, (first, stop), found)
        if self._second is not None:
            self._pass_to(batch.watermark // SECOND, found)
        return found

    def finish(self) -> list[Detected]:
        """The input has ended: the present second is over, too."""
        found: list[Detected] = []
        if self._second is not None:
            self._pass_to(self._second + 1, found)
        return found

    def snapshot(self) -> dict[str, Any]:
        """All state of the runner and its detectors, as JSON-able values."""
        return {
            "second": self._second,
            "last_event": self._last_event,
            "since": self._since,
            "sight": self._sight.state(),
            "peers": self._peers.state(),
            "process": self._process.state(),
            "detectors": {n: {"failures": r.failures, "state": r.detector.snapshot()} for n, r in self.running.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a snapshot as if nothing had happened; a detector that it does not know starts afresh.

        Raises:
            KeyError, TypeError, ValueError: the snapshot is not one of these detectors (of another version, say).
        """
        self._second, self._last_event, self._since = state["second"], state["last_event"], state["since"]
        self._sight.restore(state["sight"])
        self._peers.restore(state["peers"])
        self._process.restore(state["process"])
        for name, running in self.running.items():
            if name in state["detectors"]:
                running.failures = state["detectors"][name]["failures"]
                running.detector.restore(state["detectors"][name]["state"])

    def _withhold(self, present: Mapping[str, set[str]]) -> None:
        """Note for each detector the tables of this batch (columns by table) that lack a column which it reads."""
        for running in self.running.values():
            for table, columns in running.detector.reads.items():
                if table.name in present:
                    lacking = self._lacking.get(table.name, ())
                    missing = [c for c in columns if c not in present[table.name] or c in lacking]
                    if missing:
                        running.withheld[table.name] = missing
                    else:
                        running.withheld.pop(table.name, None)

    def _stretch(
        self, batch: Batch, wholes: Mapping[str, Whole], seconds: Array, span: tuple[int, int], found: list[Detected]
    ) -> None:
        """Events first … stop-1 (`span`), in which the clock is not set back, second by second."""
        begin, end = span
        latest = np.maximum.accumulate(seconds[begin:end])
        edges = [begin, *(np.flatnonzero(np.diff(latest)) + begin + 1).tolist(), end]
        places = {name: np.searchsorted(batch.event_of[name], edges).tolist() for name in wholes}
        happened = np.diff(edges)
        for name in STATE_TABLES & batch.tables.keys():
            happened = happened - np.diff(np.searchsorted(batch.event_of[name], edges))
        for nth, first in enumerate(edges[:-1]):
            rows = {n: wholes[n].slice(p[nth], p[nth + 1]) for n, p in places.items() if p[nth] < p[nth + 1]}
            self._pass_to(int(latest[first - begin]), found)
            self._take(rows, int(happened[nth]), found)

    def _set_back(self, second: int, found: list[Detected]) -> None:
        """The clock was set to `second`: if that is long over, finish the present second and go on from there."""
        now = self.second
        if second == _AHEAD or second >= now - SET_BACK_S:
            return
        self._pass_to(now + 1, found)
        self._back_s += now + 1 - second
        self._second = self._since = second
        self._sight = Sight()
        for running in self.running.values():
            running.failed_in = None
            self._run(running, partial(_start_over, running), now - second, second, found)

    def _pass_to(self, second: int, found: list[Detected]) -> None:
        """Let the clock reach `second`: tick what is over by then."""
        now = self._second
        if now is None or second <= now:
            return
        if now == self._last_event:
            self._tick(now, found)
            now += 1
        for idle in idle_seconds(self._last_event, now, second):
            self._tick(idle, found)
        self._second = second

    def _take(self, rows: Mapping[str, Rows], events: int, found: list[Detected]) -> None:
        """Give rows of the present second to everybody."""
        self._last_event = second = self.second
        own = {name: rows[name] for name in self._own if name in rows}
        if "node" in own and self._process.update(own["node"]).began:
            self._since = second
            self._peers.clear()
        if "connection" in own:
            self._peers.update(own["connection"])
        self._sight.update(second, events, own.get("loss"))
        for running in self.running.values():
            reads = running.detector.reads
            given = {t.name: rows[t.name] for t in reads if t.name in rows and t.name not in running.withheld}
            if given:
                self._run(running, running.detector.update, given, second, found)

    def _tick(self, second: int, found: list[Detected]) -> None:
        for running in self.running.values():
            self._run(running, running.detector.tick, second, second, found)

    def _run(
        self, running: Running, step: Callable[[Any], Iterable[Finding]], given: object, second: int, found: list[Detected]
    ) -> None:
        """One step of one detector: measured, and kept from harming others."""
        if running.disabled:
            return
        started = self._clock()
        try:
            findings: Sequence[Finding] = list(step(given))
            kinds = [running.kinds[f.kind] for f in findings] if findings else []
        except Exception as error:  # noqa: BLE001 - whatever a detector raises, the others must go on
            if running.failed_in != second:
                running.failed_in = second
                running.failures += 1
                found.append(self._failed(running, error, second))
            return
        finally:
            running.cost_ns += self._clock() - started
        if not findings:
            return
        running.findings += len(findings)
        found.extend(self._detected(second, running.detector.name, k, f) for k, f in zip(kinds, findings, strict=True))

    def _detected(self, second: int, detector: str, kind: Kind, finding: Finding) -> Detected:
        seen = min(finding.completeness, self._sight.completeness(finding.first_ts, finding.last_ts))
        addresses = self._peers.addresses(finding.peers)
        whole = replace(finding, completeness=seen)
        return Detected(second, detector, kind, whole, addresses, second - self._since, self._back_s)

    def _failed(self, running: Running, error: Exception, second: int) -> Detected:
        name = running.detector.name
        finding = Finding(
            kind=DETECTOR_FAILED.name,
            subject_kind=SubjectKind.NODE,
            subject=self.node,
            first_ts=second * SECOND,
            last_ts=second * SECOND,
            score=float(running.failures),
            measured=float(running.failures),
            expected=(0.0, 0.0),
            identifier=f"{DETECTOR_FAILED.name}:{self.node}:{name}",
            facts={
                "detector": name,
                "error": printable(f"{type(error).__name__}: {error}"[:200].encode(errors="replace")),
                "state": "disabled" if running.disabled else "goes on",
            },
        )
        return Detected(second, name, DETECTOR_FAILED, finding, back_s=self._back_s)


def _start_over(running: Running, by_s: int) -> Sequence[Finding]:
    running.detector.clock_set_back(by_s, json.loads(running.fresh))
    return ()
