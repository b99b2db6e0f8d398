"""The files of a capture folder: found, indexed piece by piece, merged by time, and read.

    message_capture/<peer address, colons as underscores>/msgs_recv.dat, msgs_sent.dat

Memory does not grow with the size of the files: of each only a piece's record headers are held, and payloads are read when
they are delivered. It grows by some hundred bytes with each folder of a connection that is not long over.
"""

from __future__ import annotations

import heapq
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

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
        ("ts", "<i8"),  # its own time, ns
        ("at", "<i8"),  # where it begins in its file
        ("size", "<i8"),  # payload bytes
        ("type", f"V{TYPE_BYTES}"),
        ("file", "<i8"),  # CaptureFile.number
    ]
)

FEW = 256
"""With fewer records found than this, more of a file is looked through before it is merged: else many small steps are made."""

_NONE = np.zeros(0, RECORD)


def _joined(parts: Sequence[Array]) -> Array:
    """Arrays of RECORD as one. NumPy would look through all their fields for each of them."""
    return np.concatenate([part.view(f"V{RECORD.itemsize}") for part in parts]).view(RECORD)


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
    pending: Array = field(default_factory=lambda: _NONE)
    """RECORD: found and not delivered."""
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

    @property
    def left(self) -> int:
        """Bytes after the last record that was found."""
        return self.size - self._next

    @property
    def exhausted(self) -> bool:
        """Whether all records that can be had by now were found."""
        return self.ahead is not Ahead.MORE or self.broken is not None

    @property
    def done(self) -> bool:
        """Whether all records that can be had by now were delivered."""
        return self.exhausted and not len(self.pending)

    def resume(self, delivered: int, key: int) -> None:
        """Go on after what an earlier run delivered."""
        self.delivered = self._next = delivered
        self.key = key

    def grown(self, size: int, mtime: int) -> None:
        """The file is `size` bytes long now."""
        self.mtime = mtime
        if size > self.size and self.broken is None:
            self.size = size
            self.ahead = Ahead.MORE

    def find(self) -> None:
        """Look further until there are more pending records, or no more can be had. `exhausted` is right afterwards, even about
        what lies behind the piece that was looked through.
        """
        before = len(self.pending)
        while len(self.pending) == before and not self.exhausted:
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
        latest = int(self.pending["key"][-1]) if len(self.pending) else self.key
        records["key"] = np.maximum(np.maximum.accumulate(found.ts), latest)
        self.pending = _joined([self.pending, self._skipped(records)])

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
            return _NONE
        self.skip_until = 0
        self.delivered = int(records["at"][new[0]])
        return records[new[0] :]

    def deliver(self, count: int) -> None:
        """The first `count` pending records are delivered; finds more if no others are left."""
        if count:
            last = self.pending[count - 1]
            self.delivered = int(last["at"] + RECORD_HEADER.itemsize + last["size"])
            self.key = int(last["key"])
            self.pending = self.pending[count:]
        if not len(self.pending) and not self.exhausted:
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


_Head = tuple[int, str, bool, int]
"""First pending record of a file in merged order: its key, the file's folder and direction; then the file's number."""


class Merge:
    """Files merged by time: in order of `key`, then of peer folder, received before sent, and within a file as recorded.

    A node's clock may stand still or step back; then a file's records follow one another all the same. So the order depends
    only on what is in the files, not on how much of it is taken at once.
    """

    def __init__(self) -> None:
        """Start without files."""
        self._heads: list[_Head] = []
        self._files: dict[int, CaptureFile] = {}

    def offer(self, file: CaptureFile) -> None:
        """Merge what `file` has from now on: a new one, or one that has grown."""
        if file.number in self._files:
            return
        file.find()
        self._files[file.number] = file
        self._push(file)

    def take(self, most: int, most_bytes: int) -> Array:
        """The next records (RECORD), at most `most` and at most `most_bytes` of payload, but at least one if there is one."""
        parts: list[Array] = []
        while self._heads and most:
            files, part = self._round(most)
            fits = int(np.searchsorted(np.cumsum(part["size"]), most_bytes, side="right"))
            part = part[: min(most, fits if parts else max(fits, 1))]
            counts = Counter(part["file"].tolist())
            for file in files:
                file.deliver(counts[file.number])
                self._push(file)
            if not len(part):
                break
            parts.append(part)
            most -= len(part)
            most_bytes -= int(part["size"].sum())
        return _joined(parts) if parts else _NONE

    def _push(self, file: CaptureFile) -> None:
        if len(file.pending):
            heapq.heappush(self._heads, (int(file.pending["key"][0]), file.folder, file.sent, file.number))
        else:
            del self._files[file.number]

    def _round(self, enough: int) -> tuple[list[CaptureFile], Array]:
        """Records that come next for certain: those before the first record of a file not looked at, and up to the last record
        that was found of any file which has more. Stops to look at files when `enough` records are there.

        Returns:
            The files concerned, taken off the heap, and the records in order.
        """
        files: list[CaptureFile] = []
        found, check = 0, enough
        horizon: tuple[int, str, bool] | None = None
        while self._heads and (horizon is None or self._heads[0][:3] <= horizon):
            if found >= check:
                before = self._heads[0][0]
                if sum(int(np.searchsorted(file.pending["key"], before)) for file in files) >= enough:
                    break
                check = 2 * found
            file = self._files[heapq.heappop(self._heads)[3]]
            files.append(file)
            while len(file.pending) < FEW and not file.exhausted:
                file.find()
            found += len(file.pending)
            if not file.exhausted:
                bound = (int(file.pending["key"][-1]), file.folder, file.sent)
                horizon = bound if horizon is None else min(horizon, bound)
        if self._heads:
            horizon = self._heads[0][:3] if horizon is None else min(horizon, self._heads[0][:3])
        files.sort(key=lambda f: (f.folder, f.sent))
        merged = _joined([_until(file, horizon) for file in files])
        return files, merged[np.argsort(merged["key"], kind="stable")]


def _until(file: CaptureFile, horizon: tuple[int, str, bool] | None) -> Array:
    """The first of a file's pending records, up to the horizon in merged order."""
    if horizon is None:
        return file.pending
    if (file.folder, file.sent) <= horizon[1:]:
        return file.pending[: np.searchsorted(file.pending["key"], horizon[0], side="right")]
    return file.pending[: np.searchsorted(file.pending["key"], horizon[0], side="left")]


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
