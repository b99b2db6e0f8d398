"""Where things lie in an archive, and the names that say what they are.

    archive.json                  format, creation time, names of nodes found automatically, columns of the tables
    inventory.key                 secret of the `item` hashes, readable by the owner only
    lock                          shared by readers while they look, exclusive for the moment a segment becomes Parquet
    wal/<source>-<session>-<node>-<first>/
        journal.jsonl             a header, then one line a commit
        <table>.arrows            Arrow IPC stream
        seal/                     Parquet files being written
    wal/<source>-<node>.lock      held by the process that writes this source of this node
    wal/<source>-<node>.compact/  Parquet files being written of several
    <table>/date=YYYY-MM-DD/node=<node>/<source>-<session>-<first>-<last>.parquet
    rate/date=YYYY-MM-DD/node=<node>/rollup/<source>-<session>-<first>-<last>.parquet

`first` and `last` count the commits of (node, session, source) from 0, so that no two segments ever claim one file name. A
segment counts for as long as its directory is there, and the Parquet files that carry its name count from the moment it is not:
that one rename is what makes sealing atomic, for readers and across a crash. In one folder, a file whose commits lie within those
of another does not count: that one was made of it and of its neighbours (`compaction`). Nor do files that archive.json names as
`going` (`retention`).
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from peerwatch.schema.table import Identity
from peerwatch.store.errors import ArchiveError

FORMAT = 1
"""Version of this layout."""
META = "archive.json"
KEY = "inventory.key"
LOCK = "lock"
WAL = "wal"
JOURNAL = "journal.jsonl"
SEALING = "seal"
STREAM = ".arrows"
GONE = ".gone"
"""Ends the name of a segment that was sealed and is being deleted."""
SCRATCH = ".compact"
ROLLUP = "rollup"
"""Folder of the roll-ups, which are kept longer than the rows beside them."""

DAY = 86_400_000_000_000
"""Nanoseconds in a day."""

_NODE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SOURCE = re.compile(r"[a-z][a-z0-9_]{0,31}")
_SEGMENT = re.compile(r"(?P<source>[a-z0-9_]+)-(?P<session>[0-9]+)-(?P<node>[A-Za-z0-9._-]+)-(?P<first>[0-9]+)")
_PARQUET = re.compile(r"(?P<source>[a-z0-9_]+)-(?P<session>[0-9]+)-(?P<first>[0-9]+)-(?P<last>[0-9]+)\.parquet")


class Meta(msgspec.Struct):
    """Contents of archive.json.

    Attributes:
        format: version of the layout.
        created: when the archive was made, ns UTC.
        nodes: from what tells a node that was found automatically to the name it was given.
        tables: the columns that each table was recorded with, one list for every version of the schema.
        removed: by table (`rate/rollup` for its roll-ups) the last date of which retention has removed rows, and all before it.
        going: files, within the archive, that do not count any more and are deleted once nobody reads them.
    """

    format: int
    created: int
    nodes: dict[str, str] = {}
    tables: dict[str, list[list[str]]] = {}
    removed: dict[str, str] = {}
    going: list[str] = []


@dataclass(frozen=True, slots=True)
class SegmentName:
    """Name of a segment: whose rows it holds, and the number of its first commit."""

    identity: Identity
    first: int

    def __str__(self) -> str:
        """The name of the directory."""
        who = self.identity
        return f"{who.source}-{who.session}-{who.node}-{self.first}"

    @classmethod
    def parse(cls, name: str) -> SegmentName | None:
        """The segment of that directory name; None when it is no segment (any more)."""
        match = _SEGMENT.fullmatch(name)
        if match is None:
            return None
        return cls(Identity(match["node"], int(match["session"]), match["source"]), int(match["first"]))

    def parquet(self, table: str, day: int, last: int, *, rollup: bool = False) -> Path:
        """Path, within the archive, of its rows of one table and day (days since 1970), when `last` is its last commit."""
        folder = Path(table, f"date={np.datetime64(day, 'D')}", f"node={self.identity.node}", *([ROLLUP] if rollup else []))
        return folder / str(FileName(self.identity, self.first, last))


@dataclass(frozen=True, slots=True)
class FileName:
    """Name of a Parquet file: whose rows it holds, and of which commits."""

    identity: Identity
    first: int
    last: int

    def __str__(self) -> str:
        """The name of the file."""
        return f"{self.identity.source}-{self.identity.session}-{self.first}-{self.last}.parquet"

    @classmethod
    def parse(cls, node: str, name: str) -> FileName | None:
        """The name of a file in a node's folder; None when it is not one of ours."""
        match = _PARQUET.fullmatch(name)
        if match is None:
            return None
        identity = Identity(node, int(match["session"]), match["source"])
        return cls(identity, int(match["first"]), int(match["last"]))


def check_identity(identity: Identity) -> None:
    """Make sure that an identity can be part of file names.

    Raises:
        ArchiveError: a node or source name that cannot, or a negative session.
    """
    if not _NODE.fullmatch(identity.node):
        raise ArchiveError(f"node name {identity.node!r}: use 1 to 64 letters, digits, dashes, underscores and dots")
    if not _SOURCE.fullmatch(identity.source):
        raise ArchiveError(f"source name {identity.source!r}: use a lower-case letter, then letters, digits and underscores")
    if identity.session < 0:
        raise ArchiveError(f"session {identity.session} is negative")


def read_meta(root: Path) -> Meta:
    """Contents of archive.json.

    Raises:
        ArchiveError: no archive, an unreadable one, or one of a newer format.
    """
    try:
        raw = (root / META).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise ArchiveError(f"{root} is not an archive (it has no {META})") from None
    except OSError as error:
        raise ArchiveError(f"cannot read the archive {root}: {error.strerror}") from error
    try:
        version = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])["format"]
        if (number := msgspec.json.decode(version, type=int)) > FORMAT:
            raise ArchiveError(f"{root} has format {number}; this version reads up to {FORMAT}: use a newer peerwatch")
        return msgspec.json.decode(raw, type=Meta)
    except (msgspec.MsgspecError, KeyError) as error:
        raise ArchiveError(f"{root / META} is damaged: {error}") from error


def write_meta(root: Path, meta: Meta) -> None:
    """Write archive.json. Whoever changes what is there holds the archive's lock exclusively from before reading it.

    Raises:
        ArchiveError: it cannot be written; it is as it was.
    """
    try:
        replace(root / META, msgspec.json.encode(meta) + b"\n", 0o640)
    except OSError as error:
        raise ArchiveError(f"cannot write {root / META}: {error.strerror}") from error


def replace(path: Path, content: bytes, mode: int) -> None:
    """Write a file so that it is there whole or as it was before.

    Raises:
        OSError: it cannot be written.
    """
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
    sync(path.parent)


@contextmanager
def locked(root: Path, *, exclusive: bool) -> Iterator[None]:
    """Hold the archive's lock, waiting for it.

    Raises:
        ArchiveError: the lock file cannot be opened.
    """
    try:
        handle = os.open(root / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise ArchiveError(f"cannot lock the archive {root}: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


def segments(root: Path) -> list[tuple[SegmentName, Path]]:
    """All segments that count, ordered by node, source, session and first commit."""
    found = [(name, entry) for entry in (root / WAL).iterdir() if (name := SegmentName.parse(entry.name))]
    return sorted(found, key=lambda s: (s[0].identity.node, s[0].identity.source, s[0].identity.session, s[0].first))


def sync(path: Path) -> None:
    """Have a file, or the entries of a directory, reach the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
