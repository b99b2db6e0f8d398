"""A file that another process appends to, truncates, renames and begins anew, read line by line and never twice.

Where it goes on after a restart is known by the file's number, how far it was read, and how it begins: a number may be another
file's by now.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LONGEST_LINE = 64 << 10
"""Of a longer line the rest is passed over."""
HEAD_BYTES = 64
"""By which a file is known again."""


@dataclass(slots=True)
class Piece:
    """Whole lines, and what was noticed before them: a sentence, or None."""

    lines: list[bytes] = field(default_factory=list)
    notice: str | None = None
    overlong: int = 0
    """Lines of which only the beginning is given."""


class Follower:
    """Reads one file. Errors of the file system are the caller's."""

    def __init__(self, path: Path, position: dict[str, Any] | None = None) -> None:
        """Follow `path` from `position`, else from its present end."""
        self._path = path
        self._handle: int | None = None
        self._inode = 0
        self._offset = 0
        """Behind the last whole line that was given."""
        self._head = ""
        self._rest = b""
        """Beginning of a line that is not whole yet."""
        self._skipping = False
        self._resume = position
        self._first = True

    @property
    def position(self) -> dict[str, Any]:
        """Where to go on."""
        return {"inode": self._inode, "offset": self._offset, "head": self._head}

    def read(self, most: int) -> Piece:
        """Whole lines of up to `most` bytes more of the file.

        Raises:
            OSError: it is not there, or closed to us.
        """
        piece = Piece()
        if self._handle is None:
            piece.notice = self._open()
        assert self._handle is not None  # noqa: S101 - it was just opened
        block = os.pread(self._handle, most, self._offset + len(self._rest))
        if not block:
            notice = self._turned()
            piece.notice = piece.notice or notice
            return piece
        if not self._head:
            self._head = os.pread(self._handle, HEAD_BYTES, 0).hex()
        *lines, rest = (self._rest + block).split(b"\n")
        self._offset += sum(len(line) + 1 for line in lines)
        if self._skipping and lines:
            self._skipping = False
            lines = lines[1:]
        self._rest = rest
        if len(rest) > LONGEST_LINE:
            if not self._skipping:
                lines.append(rest[:LONGEST_LINE])
                piece.overlong += 1
            self._offset += len(rest)
            self._rest, self._skipping = b"", True
        piece.lines = lines
        return piece

    def close(self) -> None:
        """Close it."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _open(self) -> str | None:
        handle = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        status = os.fstat(handle)
        self._handle, self._inode, self._rest, self._skipping = handle, status.st_ino, b"", False
        self._head = os.pread(handle, HEAD_BYTES, 0).hex()
        before, self._resume = self._resume, None
        first, self._first = self._first, False
        if before is not None:
            same = (
                status.st_ino == before["inode"] and self._head.startswith(before["head"]) and status.st_size >= before["offset"]
            )
            self._offset = before["offset"] if same else 0
            return None if same else "The log was replaced while it was not read; what the former one had left is missing."
        self._offset = status.st_size if first else 0
        if first:  # a line may be half written
            self._skipping = status.st_size > 0 and os.pread(handle, 1, status.st_size - 1) != b"\n"
        return None

    def _turned(self) -> str | None:
        """At the end of the file: whether it was truncated, or another one has its name."""
        assert self._handle is not None  # noqa: S101 - the caller has it
        if os.fstat(self._handle).st_size < self._offset:
            self._offset, self._rest, self._skipping, self._head = 0, b"", False, ""
            return "The log was truncated; what was written just before may be missing."
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return None  # being rotated; the new one comes when the node reopens it
        if there.st_ino != self._inode:
            self.close()  # it was read to its end
        return None
