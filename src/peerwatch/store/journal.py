"""The journal of a segment: a header, then one line a commit. A commit happened when its line is there, newline included.

Positions and counters are the source's and the run loop's own; the store only gives them back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from peerwatch.schema.table import Identity
from peerwatch.store.errors import ArchiveError
from peerwatch.store.layout import JOURNAL


class Header(msgspec.Struct, frozen=True):
    """First line: whose segment it is, and where the one before it ended.

    `boot` is the kernel's id of the boot in which it was begun: while that is the running one, everything that was written is
    there, even if it never reached the disk.
    """

    node: str
    session: int
    source: str
    first: int
    boot: str
    position: dict[str, Any]
    counters: dict[str, Any]

    @property
    def identity(self) -> Identity:
        """Whose rows the segment holds."""
        return Identity(self.node, self.session, self.source)


class Commit(msgspec.Struct, frozen=True):
    """One line: number `n`, and what the segment holds up to here: of each table's stream its length in bytes, its rows, and the
    sum of its words (wal.added_up), by which it is known again after a loss of power.
    """

    n: int
    position: dict[str, Any]
    counters: dict[str, Any]
    lengths: dict[str, int]
    rows: dict[str, int]
    sums: dict[str, int] = {}


_encoder = msgspec.json.Encoder()
_header = msgspec.json.Decoder(Header)
_commit = msgspec.json.Decoder(Commit)


def line(entry: Header | Commit) -> bytes:
    """An entry as it stands in the journal.

    Raises:
        TypeError: a position or counter that is not JSON-able.
    """
    return _encoder.encode(entry) + b"\n"


class Journal:
    """A journal read from disk. `raw` ends with the last whole line."""

    def __init__(self, segment: Path) -> None:
        """Read the journal of a segment.

        Raises:
            ArchiveError: it cannot be read, or its header is damaged.
        """
        path = segment / JOURNAL
        try:
            raw = path.read_bytes()
            self.raw = raw[: raw.rfind(b"\n") + 1]
            self.header = _header.decode(self.raw[: self.raw.find(b"\n") + 1])
        except OSError as error:
            raise ArchiveError(f"cannot read {path}: {error.strerror}") from error
        except msgspec.MsgspecError as error:
            raise ArchiveError(f"{path} is damaged ({error}): move {segment.name} out of the archive") from error

    def commits(self) -> Iterator[tuple[Commit, int]]:
        """The commits from the last to the first, each with the length of the journal up to its line's end.

        A line that is not a commit (power was lost before it reached the disk) is passed over.
        """
        start = self.raw.find(b"\n") + 1
        end = len(self.raw)
        while end > start:
            begin = self.raw.rfind(b"\n", 0, end - 1) + 1
            if commit := _decoded(self.raw[begin:end]):
                yield commit, end
            end = begin

    def last(self) -> Commit | None:
        """The last commit; None when there is none yet."""
        return next((commit for commit, _ in self.commits()), None)

    @property
    def header_length(self) -> int:
        """Bytes of the header's line."""
        return self.raw.find(b"\n") + 1


def _decoded(raw: bytes) -> Commit | None:
    try:
        return _commit.decode(raw)
    except msgspec.MsgspecError:
        return None


def resume(header: Header, last: Commit | None) -> tuple[int, Mapping[str, Any], Mapping[str, Any]]:
    """Where a writer goes on after a segment: (number of the next commit, position, counters)."""
    if last is None:
        return header.first, header.position, header.counters
    return last.n + 1, last.position, last.counters
