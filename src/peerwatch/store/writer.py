"""The writer of one node and source: appends, and begins a new segment when the present one is old or large enough."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from peerwatch.schema.registry import all_tables
from peerwatch.schema.table import Identity
from peerwatch.store import layout
from peerwatch.store.errors import ArchiveError, NotRecordingError
from peerwatch.store.files import in_table
from peerwatch.store.journal import Header, resume
from peerwatch.store.layout import GONE, WAL, SegmentName
from peerwatch.store.lease import Leases
from peerwatch.store.recovery import Closed, recover
from peerwatch.store.sealer import Sealer
from peerwatch.store.wal import Segment, boot

NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Limits:
    """When a segment ends: `age_s` seconds after it began, or at `size_bytes`. Both bound what a reader must take from it."""

    age_s: float = 300.0
    size_bytes: int = 256 << 20


class Writer:
    """Records the rows of one identity. Only one process at a time writes a source of a node.

    Attributes:
        identity: whose rows it records.
        position: what the source needs to go on after the last commit; empty when nothing was ever recorded.
        counters: what the run loop kept with the last commit; likewise.
    """

    def __init__(  # noqa: PLR0913 - what it shares with other writers, and what is its own
        self,
        root: Path,
        identity: Identity,
        sealer: Sealer,
        limits: Limits,
        clock: Callable[[], float] = time.monotonic,
        *,
        leases: Leases | None = None,
    ) -> None:
        """Recover what an earlier writer left, and go on after its last commit. Writers of one process share their `leases`.

        Raises:
            ArchiveError: another process writes it, or it cannot be read or written.
        """
        layout.check_identity(identity)
        self.identity = identity
        self.position: Mapping[str, Any] = NOTHING
        self.counters: Mapping[str, Any] = NOTHING
        self._root = root
        self._sealer = sealer
        self._limits = limits
        self._clock = clock
        self._leases = leases or Leases(root)
        self._leases.take(identity)
        sealer.finish(identity)  # it may still be at work on what this process recorded or took up before
        try:
            self._segment, self._header = self._take_up()
        except BaseException:
            self._leases.give_back(identity)
            raise
        self._began = clock()
        self._closed = False

    def append(
        self, tables: Mapping[str, pa.RecordBatch], position: Mapping[str, Any], counters: Mapping[str, Any] = NOTHING
    ) -> None:
        """Record rows of this node together with the position after them: all of it, or nothing.

        Raises:
            NotRecordingError: they cannot be written, as on a full disk; the next append tries again.
            KeyError: no such table.
            ValueError: a batch has not the columns of its table, or rows of another node; or the writer is closed.
        """
        if self._closed:
            raise ValueError("the writer is closed")
        for name, batch in tables.items():
            self._check(name, batch)
        if self._segment.broken:
            self._rotate()
        elif self._segment.last and (
            self._clock() - self._began >= self._limits.age_s or self._segment.size >= self._limits.size_bytes
        ):
            with contextlib.suppress(NotRecordingError):
                self._rotate()
        self._segment.append(tables, position, counters)
        self.position, self.counters = position, counters

    def close(self) -> None:
        """Have sealed what was recorded, and let other processes write. May be called twice.

        What cannot be sealed, as on a full disk, stays in the archive as it is until the source is next recorded.
        """
        if self._closed:
            return
        self._closed = True
        if self._segment.last:
            with contextlib.suppress(NotRecordingError):
                self._rotate()
        self._segment.close()
        if not self._leases.beside(self.identity):
            self._sealer.finish(self.identity)
        self._leases.give_back(self.identity)

    def _check(self, name: str, batch: pa.RecordBatch) -> None:
        if not batch.schema.equals(all_tables()[name].arrow):
            raise ValueError(f"a batch for {name} has not the columns of that table")
        nodes = batch.column("node")
        if (
            batch.num_rows
            and nodes.dictionary.to_pylist() != [self.identity.node]
            and nodes.unique().to_pylist() != [self.identity.node]
        ):
            raise ValueError(f"a batch for {name} has rows of other nodes than {self.identity.node}")

    def _rotate(self) -> None:
        """Begin a new segment, and only then hand over the present one: the newest always holds the position.

        What the position counts as recorded reaches the disk before the position does.
        """
        self._segment.sync()
        first, position, counters = resume(self._header, self._segment.last)
        header = self._new_header(first, position, counters)
        segment = Segment.create(self._root, header)
        self._segment.close()
        name = SegmentName(self.identity, self._header.first)
        self._sealer.submit(Closed(name, self._segment.path, self._header, self._segment.last))
        self._segment, self._header, self._began = segment, header, self._clock()

    def _new_header(self, first: int, position: Mapping[str, Any], counters: Mapping[str, Any]) -> Header:
        who = self.identity
        return Header(who.node, who.session, who.source, first, boot(), dict(position), dict(counters))

    def _take_up(self) -> tuple[Segment, Header]:
        """Recover the segments of this node and source, have the ended ones sealed, and open one to go on with."""
        _sweep(self._root, self.identity)
        ours: list[Closed] = []
        others: list[Closed] = []
        beside = self._leases.beside(self.identity)
        for name, path in layout.segments(self._root):
            if name.identity in beside:
                continue
            if (name.identity.node, name.identity.source) == (self.identity.node, self.identity.source):
                closed = recover(self._root, name, path)
                (ours if name.identity == self.identity else others).append(closed)
        newest = ours.pop() if ours else None
        if newest is None:
            header = self._new_header(_next_commit(self._root, self.identity), NOTHING, NOTHING)
            segment = Segment.create(self._root, header)
        else:
            first, self.position, self.counters = resume(newest.header, newest.last)
            if newest.last is None:
                segment, header = _reopen(newest)
            else:
                header = self._new_header(first, self.position, self.counters)
                segment = Segment.create(self._root, header)
                ours.append(newest)
        for closed in others + ours:
            self._sealer.submit(closed)
        return segment, header


def _reopen(empty: Closed) -> tuple[Segment, Header]:
    try:
        return Segment(empty.path, empty.header), empty.header
    except OSError as error:
        raise ArchiveError(f"cannot write {empty.path}: {error.strerror}") from error


def _sweep(root: Path, identity: Identity) -> None:
    """Delete what a crash left: segments that were sealed already, and ones that were never begun."""
    for entry in (root / WAL).iterdir():
        name = SegmentName.parse(entry.name.removeprefix(".").removesuffix(GONE))
        if name and entry.name != str(name) and (name.identity.node, name.identity.source) == (identity.node, identity.source):
            shutil.rmtree(entry, ignore_errors=True)


def _next_commit(root: Path, identity: Identity) -> int:
    """Number of the first commit when no segment tells it: after the last one that any Parquet file of the identity tells."""
    files = (file for table in all_tables() for file in in_table(root, table, node=identity.node))
    return max((file.last + 1 for file in files if file.identity == identity), default=0)
