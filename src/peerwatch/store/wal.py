"""The write-ahead segment: one Arrow IPC stream a table, and a journal whose lines are the commits.

An append writes the batches of all tables and then the journal's line, so either all of it counts or nothing. Nothing is synced
to disk on the way: what was written outlives the process (kill -9), and after a loss of power the segment is cut back to the
last commit of which everything is there (see recovery).

The streams are not compressed: LZ4 would take a fifth of the time of the whole path from the ring, to save three quarters of what
lies here for minutes; the Parquet made of it is what must be small. What is written goes from Arrow's buffers to the kernel
without being copied in between.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from peerwatch.store import layout
from peerwatch.store.errors import ArchiveError, NotRecordingError
from peerwatch.store.journal import Commit, Header, line
from peerwatch.store.layout import JOURNAL, STREAM, WAL, SegmentName

LARGE = 4096
"""From so many bytes on, a buffer is handed to the kernel as it is; smaller ones are joined first."""

WORD = 8
"""Bytes; the parts of an IPC stream have a multiple of it."""


class _Parts(io.RawIOBase):
    """Takes what an IPC writer writes and keeps it until it is fetched: large buffers as they are, what is between them joined.

    Each part is a number of whole words.
    """

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes | memoryview] = []
        self._joined = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        part = memoryview(data).cast("B")
        whole = len(part) // WORD * WORD
        if whole >= LARGE and len(self._joined) % WORD == 0:
            self._parts += [bytes(self._joined), part[:whole]]
            self._joined.clear()
            self._joined += part[whole:]
        else:
            self._joined += part
        return len(part)

    def fetch(self) -> list[bytes | memoryview]:
        parts = [*self._parts, bytes(self._joined)]
        self._parts.clear()
        self._joined.clear()
        return [part for part in parts if part]


class _Stream:
    """One table's stream, open for appending."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._parts = _Parts()
        options = pa.ipc.IpcWriteOptions(use_threads=False)
        self._writer = pa.ipc.new_stream(pa.PythonFile(self._parts, "w"), schema, options=options)
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def write(self, batch: pa.RecordBatch, at: int) -> tuple[int, int]:
        """Write a batch at an offset; return the offset behind it, and the sum of what was written (see `added_up`)."""
        self._writer.write_batch(batch)
        total = 0
        for part in self._parts.fetch():
            total += added_up(part)  # each before it is written: it is in the processor's cache then
            at = _write(self._handle, part, at)
        return at, total

    def cut(self, length: int) -> None:
        """Take back what lies behind `length`."""
        os.ftruncate(self._handle, length)

    def sync(self) -> None:
        """Have it reach the disk."""
        os.fdatasync(self._handle)

    def close(self) -> None:
        """Leave the file as it is; an end-of-stream mark is not needed to read it."""
        os.close(self._handle)


def _write(handle: int, data: bytes | memoryview, at: int) -> int:
    """Write all of `data` at an offset; return the offset behind it."""
    left = memoryview(data)
    while left:
        count = os.pwrite(handle, left, at)
        at += count
        left = left[count:]
    return at


def added_up(data: Any) -> int:
    """The sum, modulo 2^64, of a stream's 64-bit words: tells a stream from one of which parts never reached the disk.

    A sum, because anything better is ten times as much work, and a disk that lost some blocks does not choose which.
    """
    return int(np.add.reduce(np.frombuffer(data, np.uint64)))


def boot() -> str:
    """The kernel's random id of the running boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


@dataclass(frozen=True, slots=True)
class _Committed:
    """What counts: the last commit, and the length of the journal with it."""

    last: Commit | None
    journal: int


class Segment:
    """A segment open for appending.

    Attributes:
        path: its directory.
        broken: True after a failed append to a segment that holds commits: it takes no more, and a new one must go on.
    """

    def __init__(self, path: Path, header: Header) -> None:
        """Go on with a segment that has a header and no commit.

        Raises:
            OSError: the journal cannot be opened.
        """
        self.path = path
        self.broken = False
        self._header = header
        self._committed = _Committed(None, len(line(header)))
        self._streams: dict[str, _Stream] = {}
        self._journal = os.open(path / JOURNAL, os.O_WRONLY | os.O_CLOEXEC)
        os.ftruncate(self._journal, self._committed.journal)

    @classmethod
    def create(cls, root: Path, header: Header) -> Segment:
        """Begin a segment; it is on disk, header and name, when this returns. One of that name that never got a commit is taken.

        Raises:
            NotRecordingError: it cannot be written.
        """
        name = str(SegmentName(header.identity, header.first))
        path = root / WAL / name
        new = root / WAL / f".{name}"
        try:
            if not path.exists():
                new.mkdir(mode=0o750, exist_ok=True)
                (new / JOURNAL).write_bytes(line(header))
                layout.sync(new / JOURNAL)
                layout.sync(new)
                new.rename(path)
                layout.sync(root / WAL)
            return cls(path, header)
        except OSError as error:
            raise not_recording(error) from error

    @property
    def last(self) -> Commit | None:
        """The last commit; None before the first."""
        return self._committed.last

    @property
    def size(self) -> int:
        """Bytes committed."""
        return self._committed.journal + (sum(self.last.lengths.values()) if self.last else 0)

    def append(self, tables: Mapping[str, pa.RecordBatch], position: Mapping[str, Any], counters: Mapping[str, Any]) -> None:
        """Append batches and commit them.

        Raises:
            NotRecordingError: they cannot be written; nothing of them counts.
        """
        last = self.last
        lengths, rows, sums = (dict(last.lengths), dict(last.rows), dict(last.sums)) if last else ({}, {}, {})
        try:
            for name, batch in tables.items():
                if batch.num_rows:
                    if name not in self._streams:
                        self._streams[name] = _Stream(self.path / f"{name}{STREAM}", batch.schema)
                    lengths[name], added = self._streams[name].write(batch, lengths.get(name, 0))
                    rows[name] = rows.get(name, 0) + batch.num_rows
                    sums[name] = (sums.get(name, 0) + added) % 2**64
            n = self._header.first if last is None else last.n + 1
            commit = Commit(n, dict(position), dict(counters), lengths, rows, sums)
            self._committed = _Committed(commit, _write(self._journal, line(commit), self._committed.journal))
        except BaseException as error:
            self._roll_back()
            if isinstance(error, OSError):
                raise not_recording(error) from error
            raise

    def _roll_back(self) -> None:
        """Take back a failed append. The IPC writers have moved on and forgotten nothing, so their streams take no more."""
        os.ftruncate(self._journal, self._committed.journal)
        lengths = self.last.lengths if self.last else {}
        for name, stream in self._streams.items():
            stream.cut(lengths.get(name, 0))
        self.broken = self.last is not None
        if not self.broken:
            self._close_streams()

    def _close_streams(self) -> None:
        for stream in self._streams.values():
            stream.close()
        self._streams.clear()

    def sync(self) -> None:
        """Have everything committed reach the disk.

        Raises:
            NotRecordingError: it cannot.
        """
        try:
            for stream in self._streams.values():
                stream.sync()
            os.fdatasync(self._journal)
        except OSError as error:
            raise not_recording(error) from error

    def close(self) -> None:
        """Close the files; everything committed stays."""
        os.close(self._journal)
        self._close_streams()


def not_recording(error: OSError) -> NotRecordingError:
    """The error of the store for an error of the system."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return NotRecordingError("not recording: the disk of the archive is full; free some space, or move the archive")
    return NotRecordingError(f"not recording: the archive cannot be written ({error.strerror})")


def read_stream(data: Any, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The batches of a table's stream: of a buffer, all columns or only some; or of an open file, all columns.

    Raises:
        ArchiveError: it is damaged; every batch before the damage was given.
    """
    options = pa.ipc.IpcReadOptions(use_threads=False)
    try:
        if columns is not None:
            schema = pa.ipc.open_stream(data).schema
            options.included_fields = [schema.get_field_index(name) for name in columns]
        yield from pa.ipc.open_stream(data, options=options)
    except (pa.ArrowException, OSError) as error:
        raise ArchiveError(f"a write-ahead stream is damaged: {error}") from error
