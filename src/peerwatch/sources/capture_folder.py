"""A capture folder over time: which files are in it, which have grown, and which belong to connections long over.

A node makes a folder for every address that it ever exchanged messages with, so a folder that is followed for months holds very
many. A connection whose files have not grown for an hour and are delivered is forgotten: of all forgotten ones only one time is
kept, `cold`, before which files that are not known were last written.
"""

from __future__ import annotations

import time
from pathlib import Path

from peerwatch.sources.capture_files import RECEIVED, SENT, CaptureFile, Progress

FORGET_NS = 3600 * 10**9
"""A connection sends a ping every two minutes (Core, net_processing.cpp: PING_INTERVAL); after an hour it is over."""
SWEEP_NS = 60 * 10**9
"""How often forgotten connections are looked at for growth: the same address and port may come again."""
BUSY_NS = 10 * 10**9
"""Files that grew in the last so many ns are looked at in every scan …"""
CALM_NS = 10**9
"""… and all others only this often: connections that are over stay known for an hour."""
GIVEN_UP = -1
"""Stands for the bytes delivered of a file that was given up."""
_SETTLED_NS = 10**9
"""A folder's time of change tells nothing about later changes until it is this old."""


class CaptureFolder:
    """The files of one capture folder."""

    def __init__(self, root: Path, *, cold: int = 0) -> None:
        """Know no file yet. `cold` is what an earlier run had come to (ns since 1970; 0 for none).

        Args:
            root: path of the folder `message_capture`.
            cold: files that are not known and were last written at this time or before have been delivered.
        """
        self.root = root
        self.cold = cold
        self.peers: dict[str, list[CaptureFile]] = {}
        """Files by folder, at most one of each direction."""
        self.files: dict[int, CaptureFile] = {}
        """Files by number."""
        self._resumed: dict[tuple[str, bool], Progress] = {}
        self._forgotten: set[str] = set()
        self._listed = 0
        self._swept: int | None = None
        self._looked = 0
        self._count = 0

    def resume(self, folder: str, *, sent: bool, progress: Progress) -> None:
        """An earlier run delivered so much of a file; `progress.delivered` is GIVEN_UP if it is to be left alone."""
        self._resumed[folder, sent] = progress

    def scan(self, now: int) -> list[CaptureFile]:
        """Files that are new or have grown since the last scan.

        Args:
            now: a monotonic time, ns.

        Raises:
            OSError: the folder itself cannot be listed.
        """
        wall = time.time_ns()
        sweep = self._swept is None or now - self._swept >= SWEEP_NS
        if sweep:
            self._swept = now
            self._forget(wall)
            self._forgotten.clear()
        changed = self.root.stat().st_mtime_ns
        if sweep or changed != self._listed:
            self._listed = changed if wall - changed > _SETTLED_NS else 0
            for path in self.root.iterdir():
                if path.name not in self.peers and path.name not in self._forgotten:
                    self._meet(path.name)
        calm = sweep or now - self._looked >= CALM_NS
        if calm:
            self._looked = now
        since = wall - BUSY_NS
        names = [n for n, files in self.peers.items() if calm or not files or any(f.mtime >= since for f in files)]
        return [file for name in names for file in self._look(name)]

    def _meet(self, folder: str) -> None:
        """A folder that is not known: take it up, unless all in it was delivered by an earlier run."""
        times = [t for t in (_written(self._path(folder, sent)) for sent in (False, True)) if t is not None]
        if not times:
            return
        resumed = (folder, False) in self._resumed or (folder, True) in self._resumed
        if max(t for _, t in times) <= self.cold and not resumed:
            self._forgotten.add(folder)
        else:
            self.peers[folder] = []

    def _look(self, folder: str) -> list[CaptureFile]:
        """Files of a known folder that are new or have grown; forgets what was removed."""
        known = {file.sent: file for file in self.peers[folder]}
        changed = []
        for sent in (False, True):
            file = known.get(sent)
            state = _written(file.path if file is not None else self._path(folder, sent))
            if file is not None and file.done and (state is None or state[0] < file.size):
                self._drop(file)  # it was removed, and perhaps began anew
                file = None
            if state is None:
                continue
            file = file or self._new(folder, sent, state[0])
            before = file.size
            file.grown(*state)
            if file.size > before:
                changed.append(file)
        if not self.peers[folder]:
            del self.peers[folder]
        return changed

    def _new(self, folder: str, sent: bool, size: int) -> CaptureFile:  # noqa: FBT001 - half of the file's name
        file = CaptureFile(self._path(folder, sent), folder, sent, self._count)
        self._count += 1
        resumed = self._resumed.pop((folder, sent), None)
        if resumed is not None:
            if resumed.delivered == GIVEN_UP:
                file.broken, file.told = "was given up", True
            elif resumed.delivered <= size:  # or it was removed and began anew
                file.resume(resumed)
        elif self.cold and file.path.parent.stat().st_mtime_ns <= self.cold:
            file.skip_until = self.cold  # it was there, delivered and forgotten, and has grown since
        for other in self.peers[folder]:
            file.other, other.other = other, file
        self.peers[folder].append(file)
        self.files[file.number] = file
        return file

    def _forget(self, wall: int) -> None:
        """Forget the connections that are over."""
        for folder, files in list(self.peers.items()):
            latest = max(file.mtime for file in files)
            if latest < wall - FORGET_NS and all(file.done for file in files):
                self.cold = max(self.cold, latest)
                for file in list(files):
                    self._drop(file)
                del self.peers[folder]

    def _drop(self, file: CaptureFile) -> None:
        self.peers[file.folder].remove(file)
        if file.other is not None:
            file.other.other = None
        del self.files[file.number]

    def _path(self, folder: str, sent: bool) -> Path:  # noqa: FBT001 - as in _new
        return self.root / folder / (SENT if sent else RECEIVED)


def _written(path: Path) -> tuple[int, int] | None:
    """Size of a file and when it was last written (ns); None if it is not there."""
    try:
        state = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return state.st_size, state.st_mtime_ns
