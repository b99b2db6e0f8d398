"""A file that another process appends to, truncates, renames and begins anew, read line by line and never twice.

Where reading goes on is known by how far it came and a hash of the last bytes before that. So a file is known again under
another name, after a rotation while nobody was reading, and after its beginning was cut off, as a node does with a long log when
it starts (-shrinkdebugfile).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import accumulate
from pathlib import Path
from typing import Any

LONGEST_LINE = 64 << 10
"""Of a longer line the rest is passed over."""
TAIL_BYTES = 256
"""By which a place in a file is known again."""
SHRUNK_BYTES = 16 << 20
"""How far a place is looked for in a file that has lost its beginning: Core keeps 10 MB (logging.cpp: ShrinkDebugFile)."""
MOST_SIBLINGS = 100
"""Files of the folder that are looked at for one that was renamed."""


@dataclass(slots=True)
class Piece:
    """Whole lines, and what was noticed before them: a sentence, or None."""

    lines: list[bytes] = field(default_factory=list)
    notice: str | None = None
    overlong: int = 0
    """Lines of which only the beginning is given."""
    lost_track: bool = False
    """Nothing is known of what was written before these lines, since the last ones."""


class Follower:
    """Reads one file. Errors of the file system are the caller's."""

    def __init__(self, path: Path, position: dict[str, Any] | None = None) -> None:
        """Follow `path` from `position`, else from its present end, or from its beginning if it is not there yet."""
        self._path = path
        self._handle: int | None = None
        before = position or {}
        self._known = bool(before)
        """Whether this is a file that was read before, or the one after it; of any other only what comes is given."""
        self._inode = int(before.get("inode", 0))
        self._offset = int(before.get("offset", 0))
        """Behind the last whole line that was given, or inside of an overlong one."""
        self._tail = str(before.get("tail", _hash(b"")))
        """Hash of what stands before that."""
        self._skipping = bool(before.get("skipping"))
        """Whether the rest of an overlong line comes."""

    @property
    def position(self) -> dict[str, Any]:
        """Where to go on; JSON-able."""
        return {"inode": self._inode, "offset": self._offset, "tail": self._tail, "skipping": self._skipping}

    def read(self, most: int) -> Piece:
        """Whole lines of up to `most` bytes more of the file, or of one line if that is longer.

        Raises:
            OSError: it is not there, or closed to us.
        """
        piece = Piece()
        if self._handle is None:
            self._handle = self._open(piece)
        elif not self._fits(self._handle):
            self._find_again(self._handle, piece)
        block = self._pass_over(os.pread(self._handle, max(most, LONGEST_LINE + 1), self._offset))
        whole = block[: block.rfind(b"\n") + 1]
        if whole:
            self._advance(whole)
            piece.lines = self._cut(whole, piece)
        elif len(block) > LONGEST_LINE:
            self._advance(block)
            self._skipping = True
            piece.lines = [block[:LONGEST_LINE]]
            piece.overlong += 1
        else:
            self._look_for_another(piece, len(block))
        return piece

    def close(self) -> None:
        """Close it."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _open(self, piece: Piece) -> int:
        """The file to go on in: that of the position under whatever name, else the one that is there."""
        for path in self._candidates() if self._inode else ():
            if (handle := _opened(path)) is not None:
                inode = os.fstat(handle).st_ino
                if (self._offset or inode == self._inode) and self._fits(handle):
                    self._inode = inode
                    return handle
                os.close(handle)
        try:
            handle = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            self._known = True  # what will come has not been there before
            raise
        status = os.fstat(handle)
        if not self._known:
            self._begin_at_end(handle, status.st_size)
        elif self._offset:
            self._find_again(
                handle, piece, "The log was replaced while it was not read; what the former one had left is missing."
            )
            piece.lost_track = self._offset == 0
        self._known, self._inode = True, status.st_ino
        return handle

    def _candidates(self) -> Iterator[Path]:
        """Where the file of the position may be: first what has its number."""
        try:
            entries = [e for e in os.scandir(self._path.parent) if e.name.startswith(self._path.name)][:MOST_SIBLINGS]
        except OSError:
            return
        yield from (Path(e.path) for e in sorted(entries, key=lambda e: (e.inode() != self._inode, e.name)))

    def _begin_at_end(self, handle: int, size: int) -> None:
        self._offset = size
        self._tail = self._tail_at(handle)
        self._skipping = size > 0 and os.pread(handle, 1, size - 1) != b"\n"  # a line may be half written

    def _fits(self, handle: int) -> bool:
        """Whether a file is the one that was read so far."""
        return os.fstat(handle).st_size >= self._offset and self._tail_at(handle) == self._tail

    def _tail_at(self, handle: int) -> str:
        size = min(TAIL_BYTES, self._offset)
        return _hash(os.pread(handle, size, self._offset - size))

    def _find_again(self, handle: int, piece: Piece, otherwise: str | None = None) -> None:
        """A file has other content than it had: go on behind what was read, if that is still in it, else at its beginning."""
        data = os.pread(handle, SHRUNK_BYTES, 0) if self._offset >= TAIL_BYTES else b""
        ends = accumulate((len(line) + 1 for line in data.split(b"\n")[:-1]), initial=0)
        found = [end for end in ends if end >= TAIL_BYTES and _hash(data[end - TAIL_BYTES : end]) == self._tail]
        self._offset, self._skipping = (found[-1] if found else 0), False
        if not found:
            self._tail = _hash(b"")
            piece.notice = otherwise or "The log was truncated; what was written just before may be missing."

    def _pass_over(self, block: bytes) -> bytes:
        """What is left of a block behind the rest of an overlong line."""
        if not self._skipping or not block:
            return block
        end = block.find(b"\n") + 1 or len(block)
        self._skipping = not block[:end].endswith(b"\n")
        self._advance(block[:end])
        return block[end:]

    def _advance(self, data: bytes) -> None:
        assert self._handle is not None  # noqa: S101 - the caller has it
        lacking = max(0, min(TAIL_BYTES, self._offset + len(data)) - len(data))
        before = os.pread(self._handle, lacking, self._offset - lacking) if lacking else b""
        self._offset += len(data)
        self._tail = _hash((before + data[-TAIL_BYTES:])[-TAIL_BYTES:])

    def _cut(self, whole: bytes, piece: Piece) -> list[bytes]:
        """Whole lines; of overlong ones the beginning, and none of the zeros that a crash of the machine leaves behind."""
        lines = whole[:-1].split(b"\n")
        if max(map(len, lines)) > LONGEST_LINE:
            piece.overlong += sum(len(line) > LONGEST_LINE for line in lines)
            lines = [line[:LONGEST_LINE] for line in lines]
        if b"\0" in whole:
            piece.notice = (
                piece.notice or "The log has zeros in it, as after a crash of the machine; what stood there is missing."
            )
            lines = [line.lstrip(b"\0") for line in lines]
        return lines

    def _look_for_another(self, piece: Piece, rest: int) -> None:
        """At the end of the file: whether the node writes into another one by now."""
        assert self._handle is not None  # noqa: S101 - the caller has it
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return  # being rotated; the new one comes when the node reopens it
        if there.st_ino == self._inode or there.st_size == 0:
            return  # an empty one may have been made for a node that has not heard of it yet
        if os.fstat(self._handle).st_size > self._offset + rest:
            return  # the last lines before it turned to the other
        if rest:
            piece.notice = "The last line of a log that was replaced has no end, and is left out."
        self.close()
        self._inode, self._offset, self._tail, self._skipping = there.st_ino, 0, _hash(b""), False


def _opened(path: Path) -> int | None:
    """A regular file, opened; None if it cannot be."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK) if path.is_file() else None
    except OSError:
        return None


def _hash(data: bytes) -> str:
    return blake2b(data, digest_size=8).hexdigest()
