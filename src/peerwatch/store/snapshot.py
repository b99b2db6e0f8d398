"""What an archive holds at one moment, each row once, whatever is being written or sealed meanwhile."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from peerwatch.schema.table import Identity
from peerwatch.store import layout
from peerwatch.store.errors import ArchiveError
from peerwatch.store.files import Sealed, in_table, replaced
from peerwatch.store.journal import Journal
from peerwatch.store.layout import STREAM, SegmentName
from peerwatch.store.readers import Hold


@dataclass(frozen=True, slots=True)
class Live:
    """What is committed of a segment that is not sealed: an Arrow IPC stream a table."""

    identity: Identity
    streams: dict[str, pa.Buffer]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All rows of some tables: those in `sealed` and those in `live`, together each exactly once.

    The files stay where they are until `hold` is released, or nobody refers to it any more.
    """

    sealed: list[Sealed]
    live: list[Live]
    hold: Hold


def take(root: Path, tables: Collection[str]) -> Snapshot:
    """Look at an archive. Its Parquet files are listed, and what is in its segments is read.

    Raises:
        ArchiveError: no archive, one of a newer format, or one that cannot be read.
    """
    layout.read_meta(root)
    hold = Hold(root)
    try:
        with layout.locked(root, exclusive=False):
            going = set(layout.read_meta(root).going)
            segments = layout.segments(root)
            live = [_live(name, path, tables) for name, path in segments]
            unsealed = {name for name, _ in segments}
            sealed = [file for table in sorted(tables) for file in _counting(root, table, unsealed, going)]
    except OSError as error:
        raise ArchiveError(f"cannot read the archive {root}: {error.strerror}") from error
    return Snapshot(sealed, live, hold)


def _counting(root: Path, table: str, unsealed: Collection[SegmentName], going: Collection[str]) -> Iterator[Sealed]:
    """Files of a table but those whose segment still counts, those that others replace, and those that are being removed."""
    there = [file for file in in_table(root, table) if file.segment not in unsealed]
    passed = {file.path for file in replaced(there)}
    for file in there:
        if file.path not in passed and not (going and str(file.path.relative_to(root)) in going):
            yield file


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
