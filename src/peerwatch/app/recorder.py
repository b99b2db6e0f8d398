"""Recording: rows of all sources gathered for up to a second, written ahead together with how far their source had come.

What a source handed over may be forgotten by it only after it was written. A full disk stops recording, never detection: what
cannot be written is given up, counted and told.

A node's source has one session at a time, but the last rows of one that ended may come when the next one has begun, and a crash
may come then, too. So one session of a node and source is *current*: the one recorded last. Its commits carry the positions of
the others, and a session takes over by its first commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from peerwatch.schema.table import Identity
from peerwatch.store import layout
from peerwatch.store.archive import Archive
from peerwatch.store.errors import NotRecordingError
from peerwatch.store.journal import Journal, resume
from peerwatch.store.writer import Writer
from peerwatch.wire.registry import all_dissectors

FLUSH_BYTES = 8 << 20
"""Rows held in memory at most before they are written, whatever the time. What a source reads at once when it is behind is about
that much: written by itself it is still in the processor's cache, and need not be copied to be joined with more."""

_DERIVED = {d.table.name for d in all_dissectors() if d.table} | {
    "rate", "finding", "incident", "weird", "handshake", "exchange", "relay", "payload", "inventory_id", "origin",
}  # fmt: skip
"""Tables whose rows are made of other rows; those of all others are events of their source."""

TURN, FORMER = "turn", "former"
"""Counters of a commit: how many sessions were current before this one, and their positions by session."""

MOST_FORMER = 8
"""Former sessions whose positions are kept."""


@dataclass(slots=True)
class Gathered:
    """Rows of one identity that wait for being written."""

    tables: dict[str, list[pa.RecordBatch]] = field(default_factory=dict)
    position: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unrecorded:
    """What could not be written, and why: `events` of the source, the `bytes` of all their rows, and the time they are of."""

    identity: Identity
    events: int
    bytes: int
    span: tuple[int, int]
    reason: str


class Recorder:
    """Writes what pipelines hand over, each (node, session, source) for itself."""

    def __init__(self, archive: Archive) -> None:
        """Record into `archive`."""
        self.archive = archive
        self.rows = 0
        """Rows written so far."""
        self._writers: dict[tuple[str, str], Writer] = {}
        self._gathered: dict[Identity, Gathered] = {}
        self._held = 0
        self._ended: list[Identity] = []

    def position(self, identity: Identity) -> Mapping[str, Any]:
        """How far a source has come with what was added, or else recorded before; empty when it never was.

        Raises:
            ArchiveError: another process records this source, or what is recorded cannot be read.
        """
        if (gathered := self._gathered.get(identity)) is not None and gathered.position:
            return gathered.position
        try:
            writer = self._current(identity)
        except NotRecordingError:  # the disk is full: as it stands
            noted = self._noted(identity)
            return _position(identity, noted) if noted else {}
        return _position(identity, _Last(writer.identity, writer.position, writer.counters))

    def add(self, identity: Identity, tables: Mapping[str, pa.RecordBatch], position: Mapping[str, Any] | None = None) -> None:
        """Take rows, and the position of their source after them."""
        gathered = self._gathered.setdefault(identity, Gathered())
        for name, batch in tables.items():
            if batch.num_rows:
                gathered.tables.setdefault(name, []).append(batch)
                self._held += batch.nbytes
        if position:
            gathered.position = position

    def end(self, identity: Identity) -> None:
        """Nothing more will come of this identity: its writer is closed with the next flush."""
        self._ended.append(identity)

    @property
    def full(self) -> bool:
        """Whether so much is held that it must be written now."""
        return self._held >= FLUSH_BYTES

    def flush(self) -> list[Unrecorded]:
        """Write everything gathered. Returns what could not be written; it is given up, so that memory stays bounded."""
        refused = []
        for identity, gathered in self._gathered.items():
            if not gathered.tables:
                continue  # a source that goes on after its last rows comes to the same position again
            tables = {name: joined(batches) for name, batches in gathered.tables.items()}
            try:
                self._write(identity, tables, gathered.position)
            except NotRecordingError as error:
                refused.append(_unrecorded(identity, tables, str(error)))
        self._gathered.clear()
        self._held = 0
        for identity in self._ended:
            writer = self._writers.get((identity.node, identity.source))
            if writer is not None and writer.identity == identity:
                del self._writers[identity.node, identity.source]
                writer.close()
        self._ended.clear()
        return refused

    def close(self) -> None:
        """Write what is left and close all writers."""
        try:
            self.flush()
        finally:
            while self._writers:
                self._writers.popitem()[1].close()

    def _write(self, identity: Identity, tables: Mapping[str, pa.RecordBatch], position: Mapping[str, Any]) -> None:
        current = self._current(identity)
        last = _Last(current.identity, current.position, current.counters)
        position = position or _position(identity, last)
        if current.identity == identity:
            current.append(tables, position, current.counters)
        else:
            # The store keeps what is open beside, so until this commit the current one has all positions, and then this one.
            successor = self.archive.writer(identity)
            try:
                successor.append(tables, position, {TURN: _turn(last) + 1, FORMER: _former(last, identity)})
            except BaseException:
                successor.close()
                raise
            self._writers[identity.node, identity.source] = successor
            current.close()
        self.rows += sum(t.num_rows for t in tables.values())

    def _current(self, identity: Identity) -> Writer:
        """The writer of the current session of an identity's node and source; it becomes the current one if there is none."""
        key = (identity.node, identity.source)
        if key not in self._writers:
            noted = self._noted(identity)
            self._writers[key] = self.archive.writer(noted.identity if noted else identity)
        return self._writers[key]

    def _noted(self, identity: Identity) -> _Last | None:
        """The last commit of a node and source, as it stands in the archive."""
        found = []
        for name, path in layout.segments(self.archive.path):
            if (name.identity.node, name.identity.source) == (identity.node, identity.source):
                journal = Journal(path)
                _, position, counters = resume(journal.header, journal.last())
                found.append(_Last(name.identity, position, counters))
        return max(found, key=_turn, default=None)


@dataclass(frozen=True, slots=True)
class _Last:
    """The last commit of a node and source: of which session, and what it carries."""

    identity: Identity
    position: Mapping[str, Any]
    counters: Mapping[str, Any]


def _unrecorded(identity: Identity, tables: Mapping[str, pa.RecordBatch], reason: str) -> Unrecorded:
    own = {name: batch for name, batch in tables.items() if name not in _DERIVED}
    times = [pc.min_max(batch.column("ts")).as_py() for batch in tables.values()]
    span = min(t["min"] for t in times), max(t["max"] for t in times)
    return Unrecorded(identity, sum(b.num_rows for b in own.values()), sum(b.nbytes for b in tables.values()), span, reason)


def _turn(last: _Last) -> int:
    return int(last.counters.get(TURN, 0))


def _position(identity: Identity, last: _Last) -> Mapping[str, Any]:
    if last.identity == identity:
        return last.position
    former: Mapping[str, Mapping[str, Any]] = last.counters.get(FORMER, {})
    return former.get(str(identity.session), {})


def _former(last: _Last, successor: Identity) -> dict[str, Any]:
    """Positions that go along when `successor` takes over."""
    positions = {**last.counters.get(FORMER, {}), str(last.identity.session): dict(last.position)}
    positions.pop(str(successor.session), None)
    newest = sorted((session for session, position in positions.items() if position), key=int)[-MOST_FORMER:]
    return {session: positions[session] for session in newest}


def joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Batches of one table as one batch."""
    if len(batches) == 1:
        return batches[0]
    return pa.Table.from_batches(batches).unify_dictionaries().combine_chunks().to_batches()[0]
