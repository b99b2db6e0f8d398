"""The files of a capture folder: indexed piece by piece, and read.

    message_capture/<peer address, colons as underscores>/msgs_recv.dat, msgs_sent.dat

Memory does not grow with the size of the files: of each only a piece's record headers are held, and payloads are read when
they are delivered. It grows by some hundred bytes with each folder of a connection that is not long over.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from peerwatch.schema.batch import Array
from peerwatch.wire.capture_format import RECORD_HEADER, TYPE_BYTES, Ahead, Records, find_records
from peerwatch.wire.raw import PAD

RECEIVED, SENT = "msgs_recv.dat", "msgs_sent.dat"

PIECE_BYTES = 1 << 16
"""Bytes looked through for record headers at once."""
FIRST_PIECE_BYTES = 1 << 12
"""As PIECE_BYTES, the first time: most connections are short, and there may be very many."""

RECORD = np.dtype(
    [
        ("key", "<i8"),  # latest time (ns) of its file up to here; files are merged by it
        ("own", "<i8"),  # the same since the clock was last set back between two connections
        ("part", "<i8"),  # how many `version` came in its file up to here, without the first
        ("ts", "<i8"),  # its own time, ns
        ("at", "<i8"),  # where it begins in its file
        ("size", "<i8"),  # payload bytes
        ("type", f"V{TYPE_BYTES}"),
        ("file", "<i8"),  # CaptureFile.number
    ]
)

OPENING = b"version"
"""The type of message that each side of a connection begins with."""

SET_BACK_NS = 2 * 10**9
"""A `version` so much earlier than what came before it in its file was said on another connection, with another clock."""

NO_RECORDS = np.zeros(0, RECORD)


def joined(parts: Sequence[Array]) -> Array:
    """Arrays of RECORD as one. NumPy would look through all their fields for each of them."""
    return np.concatenate([part.view(f"V{RECORD.itemsize}") for part in parts]).view(RECORD)


class Progress(NamedTuple):
    """What was delivered of a file: see the attributes of CaptureFile."""

    delivered: int
    key: int
    own: int = 0
    versions: int = 0
    floor: int = 0


@dataclass(slots=True, eq=False)
class CaptureFile:
    """One direction of one connection."""

    path: Path
    folder: str
    sent: bool
    number: int
    size: int = 0
    """Bytes known to be there."""
    mtime: int = 0
    """When it last grew, ns."""
    delivered: int = 0
    """Where the first record begins that was not delivered."""
    key: int = 0
    """Latest time of the delivered records, ns."""
    own: int = 0
    """The same since the clock was last set back between two connections."""
    versions: int = 0
    """How many of the delivered records are a `version`."""
    floor: int = 0
    """Key with which what followed then began; 0 if that did not happen."""
    pending: Array = field(default_factory=lambda: NO_RECORDS)
    """RECORD: found and not delivered."""
    held: Array = field(default_factory=lambda: NO_RECORDS)
    """RECORD without keys: found after the pending ones, from a `version` on before which the clock was set back."""
    other: CaptureFile | None = None
    """The other direction."""
    ahead: Ahead = Ahead.MORE
    """What follows the pending records."""
    broken: str | None = None
    """Why it was given up."""
    told: bool = False
    """Whether it was said what is lost of it."""
    skip_until: int = 0
    """Records at its start up to this time (ns) were delivered by an earlier run; 0 for none."""
    first: tuple[int, bytes] | None = None
    """Time and type of its first record, if this run began to deliver there."""
    _next: int = 0
    _found: int = 0
    """How many of the records found are a `version`."""

    @property
    def left(self) -> int:
        """Bytes after the last record that was found."""
        return self.size - self._next

    @property
    def exhausted(self) -> bool:
        """Whether all records that can be had by now were found, and none is held."""
        return not len(self.held) and not self._more

    @property
    def _more(self) -> bool:
        return self.ahead is Ahead.MORE and self.broken is None

    @property
    def searchable(self) -> bool:
        """Whether looking further may give more pending records."""
        return self._more and not len(self.held)

    @property
    def done(self) -> bool:
        """Whether all records that can be had by now were delivered."""
        return self.exhausted and not len(self.pending)

    def resume(self, progress: Progress) -> None:
        """Go on after what an earlier run delivered."""
        self.delivered, self.key, self.own, self.versions, self.floor = progress
        self._next = progress.delivered
        self._found = progress.versions

    @property
    def progress(self) -> Progress:
        """What an opening of the file in a later run goes on after."""
        return Progress(self.delivered, self.key, self.own, self.versions, self.floor)

    def grown(self, size: int, mtime: int) -> None:
        """The file is `size` bytes long now."""
        self.mtime = mtime
        if size > self.size and self.broken is None:
            self.size = size
            self.ahead = Ahead.MORE

    def find(self) -> None:
        """Look further until there are more pending records, or some are held, or no more can be had. `exhausted` is right
        afterwards, even about what lies behind the piece that was looked through.
        """
        before = len(self.pending)
        while len(self.pending) == before and self.searchable:
            self._look()

    def _look(self) -> None:
        """Look through one more piece."""
        begin = self._next
        try:
            with self.path.open("rb", buffering=0) as file:
                found = self._find(file.fileno(), begin)
        except OSError as error:
            self.broken = error.strerror or "cannot be read"
            return
        if self.ahead is Ahead.MORE and not len(found.at):
            self.broken = "is shorter than it was"  # or it would be looked through without end
        if self.ahead is Ahead.MALFORMED:
            self.broken = f"has no message record at byte {self._next}"
        if begin == 0 and len(found.at) and not self.skip_until:
            self.first = int(found.ts[0]), found.type[0].tobytes().rstrip(b"\0")
        records = np.zeros(len(found.at), RECORD)
        records["at"] = found.at + begin
        records["ts"], records["size"], records["file"] = found.ts, found.size, self.number
        records["type"] = found.type.view(RECORD["type"])[:, 0]
        records = self._skipped(records)
        first = self._number(records)
        records["key"][:first] = np.maximum(records["own"][:first], self.floor)
        self.pending = joined([self.pending, records[:first]])
        self.held = records[first:]

    def _number(self, records: Array) -> int:
        """Set `own` and `part` of records just found; returns the first before which the clock was set back, or their number."""
        openings = np.flatnonzero(is_opening(records))
        before, self._found = self._found, self._found + len(openings)
        records["part"] = np.maximum(before - 1 + np.searchsorted(openings, np.arange(len(records)), side="right"), 0)
        own = int(self.pending["own"][-1]) if len(self.pending) else self.own
        records["own"] = np.maximum(np.maximum.accumulate(records["ts"]), own)
        for at in openings[max(0, 1 - before) :].tolist():
            if records["ts"][at] < (records["own"][at - 1] if at else own) - SET_BACK_NS:
                return int(at)
        return len(records)

    def release(self) -> bool:
        """Make held records pending if it is their turn: the other direction has come to its `version`, too, or to its end.

        Both then go on with the same key, so that they are merged by the times of the new clock.
        """
        part = int(self.held["part"][0])
        floor = self.key
        if (other := self.other) is not None:
            if not len(other.pending):
                other.find()
            following = next((int(records["part"][0]) for records in (other.pending, other.held) if len(records)), None)
            if following is not None and following < part:
                return False
            floor = max(floor, other.floor if other.versions > part else other.key)
        self.floor, self.own = floor, 0
        records, self.held = self.held, NO_RECORDS
        self._found = part
        first = self._number(records)
        records["key"][:first] = np.maximum(records["own"][:first], floor)
        self.pending, self.held = records[:first], records[first:]
        return True

    def _find(self, descriptor: int, begin: int) -> Records:
        found = find_records(os.pread(descriptor, PIECE_BYTES if begin else FIRST_PIECE_BYTES, begin), self.size - begin)
        self._next = begin + found.next
        self.ahead = found.ahead
        if self.ahead is Ahead.MORE:
            following = find_records(os.pread(descriptor, RECORD_HEADER.itemsize, self._next), self.size - self._next)
            self.ahead = Ahead.MORE if len(following.at) else following.ahead
        return found

    def _skipped(self, records: Array) -> Array:
        """Without the records at the start of the file that an earlier run delivered, if `skip_until` tells them."""
        if not self.skip_until:
            return records
        new = np.flatnonzero(records["ts"] > self.skip_until)
        if not len(new):
            self.delivered = self._next
            new = np.array([len(records)])
        else:
            self.skip_until = 0
            self.delivered = int(records["at"][new[0]])
        self._found += int(np.count_nonzero(is_opening(records[: new[0]])))
        self.versions = self._found
        return records[new[0] :]

    def deliver(self, count: int) -> None:
        """The first `count` pending records are delivered; finds more if no others are left."""
        if count:
            last = self.pending[count - 1]
            self.delivered = int(last["at"] + RECORD_HEADER.itemsize + last["size"])
            self.key, self.own = int(last["key"]), int(last["own"])
            self.versions += int(np.count_nonzero(is_opening(self.pending[:count])))
            self.pending = self.pending[count:]
        if not len(self.pending) and self.searchable:
            self.find()

    def read_into(self, at: int, space: memoryview) -> bool:
        """Fill `space` from byte `at` on. False, and zeros, if that cannot be read any more."""
        try:
            with self.path.open("rb", buffering=0) as file:
                if os.preadv(file.fileno(), [space], at) == len(space):
                    return True
        except OSError:
            pass
        space[:] = bytes(len(space))
        return False


def is_opening(records: Array) -> Array:
    """Mask of the records (RECORD) that are a `version`."""
    return np.asarray(np.ascontiguousarray(records["type"]).view(f"S{TYPE_BYTES}") == OPENING)


def read_payloads(files: Sequence[CaptureFile], which: Array, records: Array) -> tuple[Array, Array, Array]:
    """Read the payloads of records; of each file, all from the first of its records to the last must be among them.

    Args:
        files: the files concerned.
        which: for each record its file, as an index into `files`.
        records: RECORD, not empty.

    Returns:
        One buffer (uint8, PAD zeros at its end), where each record's payload begins in it (int64), and whether it could be
        read (bool).
    """
    order = np.argsort(which, kind="stable")
    first = np.searchsorted(which[order], np.arange(len(files)))
    last = np.append(first[1:], len(order)) - 1
    begin = records["at"][order[first]]
    length = (records["at"] + records["size"])[order[last]] + RECORD_HEADER.itemsize - begin
    base = np.cumsum(length) - length
    buf = np.empty(int(length.sum()) + PAD, np.uint8)
    buf[-PAD:] = 0
    ok = [
        file.read_into(at, buf.data[to : to + n])
        for file, at, to, n in zip(files, begin.tolist(), base.tolist(), length.tolist(), strict=True)
    ]
    start = (base - begin)[which] + records["at"] + RECORD_HEADER.itemsize
    return buf, start, np.array(ok, bool)[which]
