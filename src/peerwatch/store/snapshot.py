"""What an archive holds at one moment, each row once, whatever is being written or sealed meanwhile."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from peerwatch.schema.table import Identity
from peerwatch.store import layout
from peerwatch.store.errors import ArchiveError
from peerwatch.store.journal import Journal
from peerwatch.store.layout import STREAM, SegmentName


@dataclass(frozen=True, slots=True)
class Sealed:
    """A Parquet file: whose rows it holds, of which table and date (YYYY-MM-DD)."""

    identity: Identity
    table: str
    date: str
    path: Path


@dataclass(frozen=True, slots=True)
class Live:
    """What is committed of a segment that is not sealed: an Arrow IPC stream a table."""

    identity: Identity
    streams: dict[str, pa.Buffer]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All rows of some tables: those in `sealed` and those in `live`, together each exactly once."""

    sealed: list[Sealed]
    live: list[Live]


def take(root: Path, tables: Collection[str]) -> Snapshot:
    """Look at an archive. Its Parquet files are listed, and what is in its segments is read.

    Raises:
        ArchiveError: no archive, one of a newer format, or one that cannot be read.
    """
    layout.read_meta(root)
    try:
        with layout.locked(root, exclusive=False):
            segments = layout.segments(root)
            live = [_live(name, path, tables) for name, path in segments]
            unsealed = {(name.identity.node, name.stem) for name, _ in segments}
            sealed = [file for table in sorted(tables) for file in _sealed(root, table, unsealed)]
    except OSError as error:
        raise ArchiveError(f"cannot read the archive {root}: {error.strerror}") from error
    return Snapshot(sealed, live)


def _live(name: SegmentName, path: Path, tables: Collection[str]) -> Live:
    commit = Journal(path).last()
    lengths = commit.lengths if commit else {}
    streams = {table: _read(path / f"{table}{STREAM}", length) for table, length in lengths.items() if table in tables}
    return Live(name.identity, streams)


def _read(path: Path, length: int) -> pa.Buffer:
    with path.open("rb") as file:
        data = file.read(length)
    if len(data) < length:
        raise ArchiveError(f"{path} is shorter than what was committed; `peerwatch run` recovers it")
    return pa.py_buffer(data)


def _sealed(root: Path, table: str, unsealed: Collection[tuple[str, str]]) -> Iterator[Sealed]:
    """Files of a table, by date, node and name; those whose segment still counts are passed over."""
    for date in _entries(root / table, "date="):
        for node in _entries(root / table / f"date={date}", "node="):
            folder = root / table / f"date={date}" / f"node={node}"
            for file in sorted(os.listdir(folder)):  # noqa: PTH208 - names are all that is needed of thousands of files
                parsed = layout.parse_parquet(node, file)
                if parsed and (node, parsed[1]) not in unsealed:
                    yield Sealed(parsed[0], table, date, folder / file)


def _entries(folder: Path, prefix: str) -> list[str]:
    """What follows `prefix` in the names of a folder's entries that begin with it, in order; nothing when there is no folder."""
    if not folder.is_dir():
        return []
    return sorted(entry.removeprefix(prefix) for entry in os.listdir(folder) if entry.startswith(prefix))  # noqa: PTH208 - as above
