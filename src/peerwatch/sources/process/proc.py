"""The folder that /proc has of one process, held open.

Through the descriptor only that very process can be read: when it has ended, reads fail, whoever has got its number since. Nobody
needs a right for most of it; what is closed to us reads as None.
"""

from __future__ import annotations

import os
from pathlib import Path

MOST_BYTES = 8192
"""Of a file; the longest that is read (`status`) has 2 kB."""
ENDED = b"ZX"
"""States of a process that has ended (proc_pid_stat(5)): a zombie, and dead."""
_START, _NUMBERS = 19, 22
"""Position of the start time in what `stat` has after the name, and how many fields are used of it (proc_pid_stat(5): 22)."""
_NODE_NAMES = (b"bitcoin", b"b-")
"""How a node's main thread is called: as its executable (bitcoind, bitcoin-qt …), or `b-shutoff` (Core, init.cpp: Shutdown)."""
_PID_FILE_BYTES = 32
OUT_OF_SIGHT = (FileNotFoundError, ProcessLookupError, PermissionError)
"""Errors of a process that has ended or is closed to us. Any other, such as of too few descriptors, says nothing of it."""


class Proc:
    """One process. Give it back with `close`."""

    def __init__(self, pid: int) -> None:
        """Hold process `pid`.

        Raises:
            OSError: one of `OUT_OF_SIGHT` if there is none, or it is hidden from us (proc(5), hidepid).
        """
        self.pid = pid
        self._folder = os.open(f"/proc/{pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Hold it no longer."""
        os.close(self._folder)

    def read(self, name: str) -> bytes | None:
        """One of its files, or None when it has ended or that is closed to us.

        Raises:
            OSError: an error that is not the process's.
        """
        try:
            handle = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._folder)
        except OUT_OF_SIGHT:
            return None
        try:
            return os.read(handle, MOST_BYTES)
        except OUT_OF_SIGHT:  # it ended in between
            return None
        finally:
            os.close(handle)

    def names(self, folder: str) -> list[str] | None:
        """What is in one of its folders; None as in `read`."""
        try:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._folder)
        except OUT_OF_SIGHT:
            return None
        try:
            return os.listdir(handle)  # noqa: PTH208 - a Path has no descriptor
        except OUT_OF_SIGHT:
            return None
        finally:
            os.close(handle)

    def size(self, name: str) -> int:
        """What the kernel says is the size of one of its files; 0 as in `read`."""
        try:
            return os.stat(name, dir_fd=self._folder).st_size
        except OUT_OF_SIGHT:
            return 0

    def stat(self) -> list[bytes] | None:
        """Fields of `stat` after the name, the state first; None when it has ended."""
        fields = stat_fields(self.read("stat"))
        return None if fields is None or fields[0] in ENDED else fields

    def start_ticks(self) -> int | None:
        """When it started, in clock ticks since the machine did; None when it has ended."""
        fields = self.stat()
        return None if fields is None else int(fields[_START])


def stat_fields(raw: bytes | None) -> list[bytes] | None:
    """What `stat` of a process or thread has after the name, which may hold anything, parentheses and spaces too."""
    fields = raw.rpartition(b")")[2].split() if raw else []
    return fields if len(fields) >= _NUMBERS else None


def pid_from_file(path: Path) -> int | None:
    """The process that a node's pid file names; None if the file cannot be read, or the process is not there or no node.

    A file that a crash left behind names whoever has got that number since, so the process must be called like a node.
    """
    try:
        with path.open("rb") as file:
            pid = int(file.read(_PID_FILE_BYTES))
        proc = Proc(pid)
    except (OSError, ValueError, OverflowError):
        return None
    try:
        name = proc.read("comm")
        return pid if name and name.startswith(_NODE_NAMES) and proc.stat() else None
    finally:
        proc.close()
