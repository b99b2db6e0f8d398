"""History through the detectors: a capture, an archive or a simulation, as fast as possible or at a multiple of its own speed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from peerwatch.app.pipeline import Settings
from peerwatch.app.watch import Observer, Watch
from peerwatch.detect.registry import all_detectors
from peerwatch.schema.registry import all_tables
from peerwatch.schema.table import Level
from peerwatch.schema.tables.message import Message
from peerwatch.sinks._api import Sink
from peerwatch.sources._api import Chunk, Source
from peerwatch.sources.archive import ArchiveSource
from peerwatch.sources.capture import CaptureSource
from peerwatch.sources.pace import Paced
from peerwatch.sources.simulation.folder import is_simulation
from peerwatch.store.archive import Archive
from peerwatch.store.errors import ArchiveError
from peerwatch.store.history import History
from peerwatch.store.layout import META

MADE_BY_DETECTION = {"finding", "incident"}
"""Tables that a replay makes anew."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What to replay and where to."""

    source: Path
    archive: Path
    speed: float | None = None
    """Seconds of history a second; None for as fast as possible."""
    node: str = "replay"
    """Name of the node of a capture, which has none."""
    options: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    level: Level = Level.STANDARD


def is_archive(source: Path) -> bool:
    """Whether a folder is an archive."""
    return (source / META).exists()


def unseen(source: Path) -> dict[str, list[str]]:
    """What detectors would read that an archive does not have, by detector: tables, or columns as `table.column`.

    Nothing when `source` is no archive, or lacks nothing.

    Raises:
        ArchiveError: it cannot be read.
    """
    if not is_archive(source):
        return {}
    history = History(source, all_tables().keys())
    lacking, there = history.lacking(), history.tables()
    light = bool(there) and Message.name not in there
    found: dict[str, list[str]] = {}
    for name, detector in all_detectors().items():
        for table, columns in detector.reads.items():
            missing = lacking.get(table.name, frozenset())
            if missing >= table.columns.keys() or (light and table.level is not Level.LIGHT):
                found.setdefault(name, []).append(table.name)
            else:
                found.setdefault(name, []).extend(f"{table.name}.{column}" for column in columns if column in missing)
    return {name: missing for name, missing in found.items() if missing}


def open_source(task: Replay) -> Source:
    """The source for a folder, by what is in it.

    Raises:
        FolderError, ArchiveError, CaptureError: it is none of the three, or cannot be read.
    """
    if is_simulation(task.source):
        from peerwatch.sources.simulation.source import SimulationSource  # noqa: PLC0415 - large, and most replays need none of it

        return SimulationSource.from_folder(task.source, speed=task.speed)
    source: Source
    if is_archive(task.source):
        source = ArchiveSource(History(task.source, all_tables().keys() - MADE_BY_DETECTION))
    else:
        source = CaptureSource(task.source, task.node)
    return source if task.speed is None else Paced(source, task.speed)


class _Fresh:
    """A source of which nothing may be in an archive yet, so that no row is recorded twice."""

    def __init__(self, source: Source, archive: Path) -> None:
        self.name = source.name
        self.live = source.live
        self.finish, self.commit, self.close = source.finish, source.commit, source.close
        self._source = source
        self._archive = archive
        self._recorded = set(History(archive, all_tables().keys()).identities())

    def read(self) -> Sequence[Chunk] | None:
        """As the source.

        Raises:
            ArchiveError: the archive has it already.
        """
        chunks = self._source.read()
        if there := self._recorded.intersection(chunk.identity for chunk in chunks or ()):
            who = min(there, key=lambda identity: identity.session)
            raise ArchiveError(f"{self._archive} has this {who.source} of node {who.node} already; name another archive")
        return chunks


def replay(task: Replay, sinks: list[Sink], observer: Observer | None = None) -> tuple[int, int]:
    """Replay into the archive. Returns the number of rows recorded, and of events that could not be.

    Raises:
        as `open_source`; ArchiveError also when the archive cannot be written, or has what is replayed already.
    """
    with closing(open_source(task)) as source, Archive.create_or_open(task.archive, level=task.level) as archive:
        settings = Settings(
            archive.inventory_key,
            time.time_ns(),
            task.options,
            clock=time.monotonic_ns,
            lacking=History(task.source, all_tables()).lacking() if is_archive(task.source) else {},
            bodies=task.level is Level.FULL,
        )
        loop = Watch(archive, settings, sinks, observer)
        loop.run([_Fresh(source, archive.path)])
        return loop.recorder.rows, loop.unrecorded
