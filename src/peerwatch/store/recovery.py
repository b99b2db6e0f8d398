"""What was left by a writer that ended in whatever way: segments cut back to their last commit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from peerwatch.schema.batch import Array
from peerwatch.store import layout
from peerwatch.store.errors import ArchiveError
from peerwatch.store.journal import Commit, Header, Journal
from peerwatch.store.layout import JOURNAL, STREAM, SegmentName
from peerwatch.store.wal import WORD, added_up, boot, read_stream


@dataclass(frozen=True, slots=True)
class Closed:
    """A segment that takes no more: its name, directory, header and last commit (None when it has none)."""

    name: SegmentName
    path: Path
    header: Header
    last: Commit | None


def recover(root: Path, name: SegmentName, path: Path) -> Closed:
    """Cut a segment back to its last commit: torn lines and rows without a commit go.

    A segment of an earlier boot may have lost what never reached the disk. It is cut back to the last commit of which everything
    is as it was written, so that its position and its rows agree.

    Raises:
        ArchiveError: it cannot be read or written, or its header is damaged.
    """
    journal = Journal(path)
    words = None if journal.header.boot == boot() else _words(path)
    last, end = None, journal.header_length
    for commit, line_end in journal.commits():
        if words is None or (_as_written(words, commit) if commit.sums else _readable(path, commit)):
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


def _words(path: Path) -> dict[str, Array]:
    """The streams of a segment, as 64-bit words."""
    return {stream.stem: np.fromfile(stream, np.uint64) for stream in path.glob(f"*{STREAM}")}


def _as_written(words: Mapping[str, Array], commit: Commit) -> bool:
    """Whether the streams are there up to a commit, and are what they were then."""
    for table, length in commit.lengths.items():
        there = words.get(table, np.zeros(0, np.uint64))[: length // WORD]
        if len(there) * WORD != length or added_up(there) != commit.sums.get(table):
            return False
    return True


def _readable(path: Path, commit: Commit) -> bool:
    """Whether all rows up to a commit can be read. Segments of the first layout have no sums, but compressed buffers."""
    for table, count in commit.rows.items():
        rows = 0
        try:
            with (path / f"{table}{STREAM}").open("rb") as file:
                for batch in read_stream(file.read(commit.lengths[table])):
                    batch.validate(full=True)
                    rows += batch.num_rows
        except (OSError, ArchiveError, pa.ArrowException):
            return False
        if rows < count:
            return False
    return True
