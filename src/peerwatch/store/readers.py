"""Who is reading: what does not count any more is deleted once all readers that may have seen it are gone.

A reader locks one byte of the archive's lock file, the one whose number is the time at which it began (the kernel's time since
boot, which never goes back), and then looks which files there are. So a file that was replaced at some time may go as soon as no
byte up to that time is locked; readers that began later hold up nothing. These locks end with their process, need no right to
write, and have nothing to do with the lock of the whole file (`layout.locked`), for which nobody waits longer than a moment.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from pathlib import Path

from peerwatch.store.errors import ArchiveError
from peerwatch.store.layout import LOCK

_FLOCK = struct.Struct("@hhqqi0q")
"""fcntl(2): type, whence, start, length, pid (0 for a lock of the open file)."""


class Hold:
    """Keeps what a reader has seen from being deleted, until it is released or nobody refers to it any more."""

    def __init__(self, root: Path) -> None:
        """Begin to read; what is looked at after this stays.

        Raises:
            ArchiveError: the lock file cannot be opened or locked.
        """
        self._handle = -1
        try:
            self._handle = os.open(root / LOCK, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.fcntl(self._handle, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, now(), 1, 0))
        except OSError as error:
            self.release()
            raise ArchiveError(f"cannot lock the archive {root}: {error.strerror}") from error

    def release(self) -> None:
        """End. May be called twice."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)

    def __del__(self) -> None:
        """End, if that was not said."""
        self.release()


def now() -> int:
    """Nanoseconds since the machine was started."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def unread(root: Path, since: int) -> bool:
    """Whether nobody reads any more who began before or at a time of `now`.

    Raises:
        OSError: the lock file cannot be opened.
    """
    handle = os.open(root / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    try:
        asked = fcntl.fcntl(handle, fcntl.F_OFD_GETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, since + 1, 0))
        return bool(_FLOCK.unpack(asked)[0] == fcntl.F_UNLCK)
    finally:
        os.close(handle)
