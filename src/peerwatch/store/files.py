"""The Parquet files of an archive, and which of them count."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from peerwatch.schema.table import Identity
from peerwatch.schema.tables.rate import Rate
from peerwatch.store.layout import ROLLUP, FileName, SegmentName


@dataclass(frozen=True, slots=True)
class Sealed:
    """A Parquet file: whose rows it holds and of which commits, of which table and date (YYYY-MM-DD)."""

    identity: Identity
    table: str
    date: str
    path: Path
    first: int
    last: int
    rollup: bool = False
    """Whether it lies among the roll-ups, apart from the rows of its table."""

    @property
    def segment(self) -> SegmentName:
        """The segment that it, or the first part of it, was made of."""
        return SegmentName(self.identity, self.first)

    @property
    def folder(self) -> Path:
        """Where it lies. Files of one folder and identity are in the order of their commits."""
        return self.path.parent


def in_table(root: Path, table: str, *, node: str | None = None, dates: Collection[str] | None = None) -> Iterator[Sealed]:
    """Files of a table, or only of one node and of some dates: by date, node, folder, identity and commits.

    Of two files that begin with the same commit, the one that reaches further comes first.

    Raises:
        OSError: a folder cannot be read.
    """
    for date in sorted(dates) if dates is not None else _entries(root / table, "date="):
        here = root / table / f"date={date}"
        for name in [node] if node is not None else _entries(here, "node="):
            folder = here / f"node={name}"
            yield from _in_folder(folder, table, date, name, rollup=False)
            if table == Rate.name:
                yield from _in_folder(folder / ROLLUP, table, date, name, rollup=True)


def _in_folder(folder: Path, table: str, date: str, node: str, *, rollup: bool) -> list[Sealed]:
    try:
        entries = os.listdir(folder)  # noqa: PTH208 - names are all that is needed of thousands of files
    except FileNotFoundError:
        return []
    names = [(name, entry) for entry in entries if (name := FileName.parse(node, entry))]
    found = [Sealed(name.identity, table, date, folder / entry, name.first, name.last, rollup) for name, entry in names]
    return sorted(found, key=lambda f: (f.identity.source, f.identity.session, f.first, -f.last))


def replaced(files: list[Sealed]) -> list[Sealed]:
    """Files, in the order of `in_table`, whose commits lie within those of another of their folder and identity."""
    found = []
    whole: Sealed | None = None
    for file in files:
        if whole and (file.folder, file.identity) == (whole.folder, whole.identity) and file.last <= whole.last:
            found.append(file)
        else:
            whole = file
    return found


def _entries(folder: Path, prefix: str) -> list[str]:
    """What follows `prefix` in the names of a folder's entries that begin with it, in order; nothing when there is no folder."""
    if not folder.is_dir():
        return []
    return sorted(entry.removeprefix(prefix) for entry in os.listdir(folder) if entry.startswith(prefix))  # noqa: PTH208 - as above
