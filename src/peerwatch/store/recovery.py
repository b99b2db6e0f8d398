"""What was left by a writer that ended in whatever way: segments cut back to their last commit."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from peerwatch.store import layout
from peerwatch.store.errors import ArchiveError
from peerwatch.store.journal import Commit, Header, Journal
from peerwatch.store.layout import JOURNAL, STREAM, SegmentName
from peerwatch.store.wal import boot, read_stream


@dataclass(frozen=True, slots=True)
class Closed:
    """A segment that takes no more: its name, directory, header and last commit (None when it has none)."""

    name: SegmentName
    path: Path
    header: Header
    last: Commit | None


def recover(root: Path, name: SegmentName, path: Path) -> Closed:
    """Cut a segment back to its last commit: torn lines and rows without a commit go.

    A segment of an earlier boot may have lost what never reached the disk. It is cut back to the last commit of which every row
    can be read, so that its position and its rows agree.

    Raises:
        ArchiveError: it cannot be read or written, or its header is damaged.
    """
    journal = Journal(path)
    readable = None if journal.header.boot == boot() else _readable(path)
    last, end = None, journal.header_length
    for commit, line_end in journal.commits():
        if readable is None or all(readable.get(table, 0) >= count for table, count in commit.rows.items()):
            last, end = commit, line_end
            break
    try:
        with layout.locked(root, exclusive=True):
            os.truncate(path / JOURNAL, end)
            for stream in path.glob(f"*{STREAM}"):
                length = last.lengths.get(stream.stem, 0) if last else 0
                if stream.stat().st_size > length:
                    os.truncate(stream, length)
    except OSError as error:
        raise ArchiveError(f"cannot recover {path}: {error.strerror}") from error
    return Closed(name, path, journal.header, last)


def _readable(path: Path) -> dict[str, int]:
    """Rows of each table that can really be read, from the start of its stream to the first damage."""
    found: dict[str, int] = {}
    for stream in path.glob(f"*{STREAM}"):
        rows = 0
        try:
            for batch in read_stream(stream.read_bytes()):
                batch.validate(full=True)
                rows += batch.num_rows
        except (ArchiveError, pa.ArrowException):
            pass
        found[stream.stem] = rows
    return found
