"""The files of a capture merged by time."""

from __future__ import annotations

import heapq
from collections import Counter
from itertools import pairwise

import numpy as np

from peerwatch.schema.batch import Array
from peerwatch.sources.capture_files import NO_RECORDS, CaptureFile, joined

FEW = 256
"""With fewer records found than this, more of a file is looked through before it is merged: else many small steps are made."""

_Place = tuple[int, str, int, int, bool]
"""Place of a record in merged order: its key, the file's folder, its own time and part, the file's direction."""

_Head = tuple[int, str, int, int, bool, int]
"""Place of the first pending record of a file, and the file's number."""


class Merge:
    """Files merged by time: in order of `key`, then of peer folder, of `own` and `part`, received before sent, and within a file
    as recorded.

    A node's clock may stand still or step back; then a file's records follow one another all the same. So the order depends
    only on what is in the files, not on how much of it is taken at once.

    Where connections of one address and port follow one another while the clock stands still, the `part` keeps them apart.
    Where the clock is set back between two of them, times say nothing about which record of one direction comes before which of
    the other. There the direction that begins the next connection waits until the other does, too, or ends.
    """

    def __init__(self) -> None:
        """Start without files."""
        self._heads: list[_Head] = []
        self._files: dict[int, CaptureFile] = {}
        self._waiting: list[CaptureFile] = []

    def offer(self, file: CaptureFile) -> None:
        """Merge what `file` has from now on: a new one, or one that has grown."""
        if file.number in self._files:
            return
        file.find()
        self._files[file.number] = file
        self._push(file)
        self._release()

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
            self._release()
            if not len(part):
                break
            parts.append(part)
            most -= len(part)
            most_bytes -= int(part["size"].sum())
        return joined(parts) if parts else NO_RECORDS

    def _push(self, file: CaptureFile) -> None:
        if len(file.pending):
            heapq.heappush(self._heads, (*_place(file, 0), file.number))
        elif len(file.held):
            self._waiting.append(file)
        else:
            del self._files[file.number]

    def _release(self) -> None:
        """Let go on what waited, as long as there is something whose turn it is."""
        while free := next((file for file in self._waiting if file.release()), None):
            self._waiting.remove(free)
            self._push(free)

    def _round(self, enough: int) -> tuple[list[CaptureFile], Array]:
        """Records that come next for certain: those before the first record of a file not looked at, and up to the last record
        that was found of any file which has more. Stops to look at files when `enough` records are there.

        Returns:
            The files concerned, taken off the heap, and the records in order.
        """
        files: list[CaptureFile] = []
        found, check = 0, enough
        horizon: _Place | None = None
        while self._heads and (horizon is None or self._heads[0][:-1] <= horizon):
            if found >= check:
                before = self._heads[0][0]
                if sum(int(np.searchsorted(file.pending["key"], before)) for file in files) >= enough:
                    break
                check = 2 * found
            file = self._files[heapq.heappop(self._heads)[-1]]
            files.append(file)
            while len(file.pending) < FEW and file.searchable:
                file.find()
            found += len(file.pending)
            if (last := _last_certain(file)) is not None:
                bound = _place(file, last)
                horizon = bound if horizon is None else min(horizon, bound)
        if self._heads:
            horizon = self._heads[0][:-1] if horizon is None else min(horizon, self._heads[0][:-1])
        files.sort(key=lambda f: (f.folder, f.sent))
        parts = [_until(file, horizon) for file in files]
        merged = joined(parts)
        if not merged["part"].any():
            return files, merged[np.argsort(merged["key"], kind="stable")]
        folders = np.cumsum([False, *(a.folder != b.folder for a, b in pairwise(files))])
        folder = np.repeat(folders, [len(part) for part in parts])
        return files, merged[np.lexsort((merged["part"], merged["own"], folder, merged["key"]))]


def _place(file: CaptureFile, nth: int) -> _Place:
    """Where a file's pending record comes in merged order."""
    record = file.pending[nth]
    return int(record["key"]), file.folder, int(record["own"]), int(record["part"]), file.sent


def _last_certain(file: CaptureFile) -> int | None:
    """The last of a file's pending records before which nothing can come that is not found or not released yet; None for all."""
    waits = file.other is not None and len(file.other.held) > 0
    if file.exhausted and not waits:
        return None
    if waits and file.other is not None and not len(file.other.pending):
        return int(np.searchsorted(file.pending["part"], file.other.held["part"][0])) - 1
    return len(file.pending) - 1


def _until(file: CaptureFile, horizon: _Place | None) -> Array:
    """The first of a file's pending records, up to the horizon in merged order."""
    if horizon is None:
        return file.pending
    key, folder, *_ = horizon
    if file.folder != folder:
        return file.pending[: np.searchsorted(file.pending["key"], key, side="right" if file.folder < folder else "left")]
    first, stop = (int(np.searchsorted(file.pending["key"], key, side=side)) for side in ("left", "right"))
    while first < stop:  # by halves: within a key, own time and part never go back
        middle = (first + stop) // 2
        if _place(file, middle) <= horizon:
            first = middle + 1
        else:
            stop = middle
    return file.pending[:first]
