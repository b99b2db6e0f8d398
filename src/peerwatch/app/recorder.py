"""Recording: rows of all sources gathered for up to a second, written ahead together with how far their source had come.

What a source handed over may be forgotten by it only after it was written. A full disk stops recording, never detection: what
cannot be written is counted, and said as a `loss` row, to detection at once and in the archive when writing works again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from peerwatch.schema.table import Identity
from peerwatch.store.archive import Archive
from peerwatch.store.errors import NotRecordingError
from peerwatch.store.writer import Writer

FLUSH_BYTES = 64 << 20
"""Rows held in memory at most before they are written, whatever the time."""


@dataclass(slots=True)
class Gathered:
    """Rows of one identity that wait for being written."""

    tables: dict[str, list[pa.RecordBatch]] = field(default_factory=dict)
    position: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unrecorded:
    """Rows that could not be written, and why."""

    identity: Identity
    rows: int
    bytes: int
    reason: str


class Recorder:
    """Writes what pipelines hand over, one writer for each (node, session, source)."""

    def __init__(self, archive: Archive) -> None:
        """Record into `archive`."""
        self.archive = archive
        self.rows = 0
        """Rows written so far."""
        self._writers: dict[Identity, Writer] = {}
        self._gathered: dict[Identity, Gathered] = {}
        self._held = 0
        self._ended: list[Identity] = []

    def position(self, identity: Identity) -> Mapping[str, Any]:
        """How far the source had come when its last rows were recorded; empty when it never was."""
        return self._writer(identity).position or {}

    def add(self, identity: Identity, tables: Mapping[str, pa.RecordBatch], position: Mapping[str, Any] | None = None) -> None:
        """Take rows, and the position of their source after them."""
        gathered = self._gathered.setdefault(identity, Gathered())
        for name, batch in tables.items():
            if batch.num_rows:
                gathered.tables.setdefault(name, []).append(batch)
                self._held += batch.nbytes
        if position is not None:
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
            tables = {name: joined(batches) for name, batches in gathered.tables.items()}
            if not tables and not gathered.position:
                continue
            writer = self._writer(identity)
            try:
                writer.append(tables, gathered.position or writer.position or {})
                self.rows += sum(t.num_rows for t in tables.values())
            except NotRecordingError as error:
                lost = tables.values()
                refused.append(Unrecorded(identity, sum(t.num_rows for t in lost), sum(t.nbytes for t in lost), str(error)))
        self._gathered.clear()
        self._held = 0
        for identity in self._ended:
            if identity in self._writers:
                self._writers.pop(identity).close()
        self._ended.clear()
        return refused

    def close(self) -> None:
        """Write what is left and close all writers."""
        self.flush()
        while self._writers:
            self._writers.popitem()[1].close()

    def _writer(self, identity: Identity) -> Writer:
        if identity not in self._writers:
            self._writers[identity] = self.archive.writer(identity)
        return self._writers[identity]


def joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Batches of one table as one batch."""
    if len(batches) == 1:
        return batches[0]
    return pa.Table.from_batches(batches).unify_dictionaries().combine_chunks().to_batches()[0]
