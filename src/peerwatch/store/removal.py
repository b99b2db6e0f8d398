"""Removing what retention says: said first, then passed over by readers, and deleted when nobody reads it any more."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from peerwatch.schema.batch import SECOND
from peerwatch.schema.registry import all_tables
from peerwatch.schema.table import Level
from peerwatch.schema.tables.rate import Rate
from peerwatch.store import layout, readers, rollup
from peerwatch.store.errors import ArchiveError
from peerwatch.store.files import Sealed, in_table, replaced
from peerwatch.store.layout import ROLLUP
from peerwatch.store.retention import Kept, Retention, Weighed, plan

_FILE = re.compile(rf"[a-z_]+/date=[^/]+/node=[^/]+/({ROLLUP}/)?[^/]+\.parquet")


LONG_READ_NS = 600 * SECOND
"""Who reads what was removed for longer than this is named as the reason why the archive does not get smaller."""


class Removal:
    """Applies retention to an archive, again and again.

    Attributes:
        failure: why not all could be removed, in one line; None when all was that is due.
    """

    def __init__(self, root: Path, retention: Retention) -> None:
        """Remove nothing yet."""
        self.failure: str | None = None
        self._root = root
        self._retention = retention
        self._day: date | None = None
        self._since: dict[str, int] = {}
        self._unsaid: dict[str, str] = {}
        self._mixed: dict[Path, bool] = {}

    def apply(self, today: date) -> None:
        """Remove what is too old or too much, or take a step towards it.

        Raises:
            ArchiveError, OSError: the archive cannot be read or written.
        """
        self.failure = None
        self._delete()
        total = 0 if self._retention.bytes is None else _weight(self._root) - self._weight_going()
        if total > (self._retention.bytes or 0) or self._unsaid or today != self._day:
            self._condemn(plan(list(self._weighed()), total, self._retention, today))
            self._day = today
            self._delete()
        if waiting := [path for path, since in self._since.items() if readers.now() - since > LONG_READ_NS]:
            self.failure = (
                f"{len(waiting)} files were removed, but somebody who began long ago is still reading the archive; end that"
            )

    def _weight_going(self) -> int:
        return sum(path.stat().st_size for name in self._since if (path := self._root / name).exists())

    def _weighed(self) -> Iterator[Weighed]:
        """All files of segments that are gone, but those that are being removed already."""
        unsealed = {name for name, _ in layout.segments(self._root)}
        for name, table in all_tables().items():
            there = [file for file in in_table(self._root, name) if file.segment not in unsealed]
            old = set(replaced(there))
            parts: list[Path] = []
            for file in reversed(there):  # what replaces others comes before them
                if file in old:
                    parts.append(file.path)
                    continue
                if str(file.path.relative_to(self._root)) not in self._since:
                    kept = self._kept(file) if table.level is Level.LIGHT else Kept.ROWS
                    yield Weighed(file, kept, sum(path.stat().st_size for path in (file.path, *parts)), tuple(parts))
                parts = []

    def _kept(self, file: Sealed) -> Kept:
        """Of `rate`, seconds lie apart from the roll-ups, but did not always."""
        if file.table != Rate.name or file.rollup:
            return Kept.LONG
        if file.path not in self._mixed:
            try:
                self._mixed[file.path] = _has_rollups(file.path)
            except (OSError, ValueError, AttributeError, pa.ArrowException) as error:
                self.failure = f"{file.path} cannot be read ({error}); move it out of the archive"
                return Kept.SECONDS  # what cannot be read is not worth more than what can
        return Kept.LONG if self._mixed[file.path] else Kept.SECONDS

    def _condemn(self, doomed: list[Weighed]) -> None:
        """Say what was removed, and that these files do not count any more."""
        paths = [str(path.relative_to(self._root)) for w in doomed for path in (*w.replaced, w.file.path)]
        for w in doomed:
            name = f"{w.file.table}/{ROLLUP}" if w.file.rollup else w.file.table
            self._unsaid[name] = max(self._unsaid.get(name, ""), w.file.date)
        if not self._unsaid:
            return
        with layout.locked(self._root, exclusive=True):
            meta = layout.read_meta(self._root)
            said = {n: max(d, meta.removed.get(n, "")) for n, d in self._unsaid.items()}
            meta = msgspec.structs.replace(meta, removed=meta.removed | said)
            try:
                layout.write_meta(self._root, msgspec.structs.replace(meta, going=[*meta.going, *paths]))
            except ArchiveError:  # so full that there is no room even for that: whoever still reads them finds them missing
                _unlink(self._root, paths)
                layout.write_meta(self._root, meta)
                paths = []
        self._unsaid.clear()
        self._since |= dict.fromkeys(paths, readers.now())

    def _delete(self) -> None:
        """Delete what does not count any more, as far as nobody reads it."""
        going = layout.read_meta(self._root).going
        first_seen = readers.now()
        self._since = {path: self._since.get(path, first_seen) for path in going}
        unread = {since: readers.unread(self._root, since) for since in set(self._since.values())}
        if gone := [path for path, since in self._since.items() if unread[since]]:
            _unlink(self._root, gone)
            with layout.locked(self._root, exclusive=True):
                meta = layout.read_meta(self._root)
                left = [path for path in meta.going if path not in set(gone)]
                layout.write_meta(self._root, msgspec.structs.replace(meta, going=left))
            for path in gone:
                del self._since[path]


def _weight(root: Path) -> int:
    """Bytes of all files of an archive."""
    total = 0
    for folder, _, names in os.walk(root):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += os.stat(f"{folder}/{name}").st_size  # noqa: PTH116 - of thousands of files
    return total


def _has_rollups(path: Path) -> bool:
    metadata = pq.read_metadata(path)
    source = metadata.schema.names.index("source")
    sources = (metadata.row_group(number).column(source).statistics for number in range(metadata.num_row_groups))
    return any(rollup.SOURCE in {s.min, s.max} for s in sources)


def _unlink(root: Path, paths: Iterable[str]) -> None:
    """Delete files of tables, given within the archive, and the folders that become empty."""
    for name in paths:
        if not _FILE.fullmatch(name):
            raise ArchiveError(f"{root / layout.META} is damaged: {name!r} is no file of a table")
        (root / name).unlink(missing_ok=True)
        for folder in Path(name).parents[:-2]:
            with contextlib.suppress(OSError):
                (root / folder).rmdir()
