"""What is done with an archive besides sealing, a piece at a time: retention, compaction, deleting what was replaced.

It concerns only what this process records; another process may record other nodes and sources of the archive. (Retention concerns
all of it: what is removed twice is gone as well.)
"""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import pyarrow as pa

from peerwatch.schema.registry import all_tables
from peerwatch.schema.table import Identity
from peerwatch.store import compaction, layout, readers
from peerwatch.store.errors import ArchiveError
from peerwatch.store.files import Sealed, in_table, replaced
from peerwatch.store.layout import SCRATCH, WAL
from peerwatch.store.removal import Removal
from peerwatch.store.retention import Retention

RESERVE = 64 << 20
"""Bytes of disk that compaction leaves free, for recording."""

_Key = tuple[str, str]
_ERRORS = (OSError, ArchiveError, ValueError, pa.ArrowException)


class _UnreadableError(Exception):
    """A file that cannot be put together with others, as it cannot be read."""

    def __init__(self, path: Path, error: Exception) -> None:
        super().__init__(str(error))
        self.path = path


class Upkeep:
    """Keeps an archive small and quick to read.

    Attributes:
        failure: what could not be done the last time, in one line; None when nothing went wrong.
    """

    def __init__(self, root: Path, retention: Retention | None = None) -> None:
        """Do nothing yet."""
        self.failure: str | None = None
        self._root = root
        self._removal = Removal(root, retention) if retention else None
        self._newest: dict[_Key, str] = {}
        self._due: dict[_Key, set[str] | None] = {}
        self._levels: dict[Path, int] = {}
        self._replaced: dict[Path, int] = {}
        self._refused: dict[Path, str] = {}

    def sealed(self, identity: Identity, files: Iterable[Path]) -> None:
        """Take note of files (paths within the archive) that a segment has become; its node and source are recorded here."""
        key = identity.node, identity.source
        before = self._newest.get(key, "")
        dates = {path.parts[1].removeprefix("date=") for path in files}
        self._newest[key] = max(dates | {before})
        self._look(key, dates if self._newest[key] == before else None)  # all at first, and when a day is over

    def release(self, identity: Identity) -> None:
        """Leave alone what a node and source recorded: another process may do so from now on."""
        key = identity.node, identity.source
        self._due.pop(key, None)
        self._newest.pop(key, None)

    def round(self) -> Generator[None, None, None]:
        """Do what there is to do, pausing every now and then. May be given up at any pause."""
        failures = []
        try:
            if self._removal:
                self._removal.apply(datetime.now(UTC).date())
                if self._removal.failure:
                    failures.append(f"cannot remove all old rows: {self._removal.failure}")
        except _ERRORS as error:
            failures.append(f"cannot remove old rows: {error}")
        yield
        while self._due:
            key, dates = self._due.popitem()
            try:
                yield from self._compact(key, dates)
            except GeneratorExit:
                self._look(key, dates)
                raise
            except _ERRORS as error:
                failures.append(f"cannot put files together: {error}")
        self._delete()
        failures += self._refused.values()
        self.failure = " ".join(failures[0].split()) if failures else None

    def _look(self, key: _Key, dates: set[str] | None) -> None:
        """Look at some dates of a node and source, or at all, in the next round."""
        known = self._due.get(key, set())
        self._due[key] = None if dates is None or known is None else known | dates

    def _compact(self, key: _Key, dates: set[str] | None) -> Iterator[None]:
        """Put together what a node and source recorded on some dates, or on all."""
        node, source = key
        scratch = self._root / WAL / f"{source}-{node}{SCRATCH}"
        shutil.rmtree(scratch, ignore_errors=True)
        begun: dict[Identity, int] = {}
        for name, _ in layout.segments(self._root):
            begun.setdefault(name.identity, name.first)
        going = {self._root / name for name in layout.read_meta(self._root).going}
        for table in all_tables():
            there = [f for f in in_table(self._root, table, node=node, dates=dates) if f.identity.source == source]
            old = {file.path for file in replaced(there)}
            self._replaced = dict.fromkeys(old - going, readers.now()) | self._replaced
            # What is sealed after an unsealed segment must wait: no file may cover commits of which the rows are elsewhere.
            whole = [f for f in there if f.path not in old and f.last < begun.get(f.identity, f.last + 1)]
            for _, alike in groupby(whole, key=lambda f: (f.folder, f.identity)):
                yield from self._merge(list(alike), going, scratch)

    def _merge(self, files: list[Sealed], going: set[Path], scratch: Path) -> Iterator[None]:
        """Put together what should be, of files of one folder and identity."""
        for parts, level in self._plan(files, going):
            if shutil.disk_usage(self._root).free < sum(part.path.stat().st_size for part in parts) + RESERVE:
                continue
            try:
                yield from compaction.merge(parts, level, scratch)
            except _ERRORS as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise  # the system's; what Arrow says of damaged files has no number
                self._refused |= dict.fromkeys((part.path for part in parts), f"cannot put files together: {error}")
                continue
            self._replaced |= dict.fromkeys((part.path for part in parts), readers.now())
            self._delete()
            pa.default_memory_pool().release_unused()  # some 50 MB, which Arrow would keep for the next time

    def _plan(self, files: list[Sealed], going: set[Path]) -> list[tuple[list[Sealed], int]]:
        def size(file: Sealed) -> int:
            """Its bytes; what must be left alone counts as large, so that nothing is put together across it."""
            alone = file.path in going or file.path in self._refused
            return compaction.LARGE if alone else file.path.stat().st_size

        over = files[0].date < self._newest.get((files[0].identity.node, files[0].identity.source), "")
        while True:
            try:
                return compaction.plan(files, size, self._level, over=over)
            except _UnreadableError as error:
                self._refused[error.path] = f"cannot put files together: {error.path} cannot be read: {error}"

    def _level(self, file: Sealed) -> int:
        if file.path not in self._levels:
            try:
                self._levels[file.path] = compaction.level(file.path)
            except (OSError, pa.ArrowException) as error:
                raise _UnreadableError(file.path, error) from error
        return self._levels[file.path]

    def _delete(self) -> None:
        """Delete what was replaced, as far as nobody reads it any more."""
        unread = {since: readers.unread(self._root, since) for since in set(self._replaced.values())}
        for path in [path for path, since in self._replaced.items() if unread[since]]:
            path.unlink(missing_ok=True)
            del self._replaced[path]
            self._levels.pop(path, None)
