"""What /proc tells about a process. Everything in it is chosen by whoever runs the process, and every read can fail: the process
may go away at any moment, and much of another user's process is closed to one that has only CAP_BPF and CAP_PERFMON.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from peerwatch.schema.batch import SECOND
from peerwatch.wire.raw import printable

MAX_COMMAND_LINE = 64 << 10
"""Bytes of a command line that are looked at."""
DELETED = " (deleted)"
"""What the kernel appends to the path of an executable that is no longer there."""
PF_KTHREAD = 0x00200000
"""Flag in /proc/PID/stat: a thread of the kernel (include/linux/sched.h)."""
_FLAGS, _CPU, _START = 6, slice(11, 13), 19
"""Fields of /proc/PID/stat, counted from the state, which is the first after the name (proc_pid_stat(5): 9, 14 and 15, 22)."""


@dataclass(frozen=True, slots=True)
class FileId:
    """Which file on which device, and which state of its content; a binary that is replaced or overwritten has another one."""

    device: int
    inode: int
    size: int
    modified_ns: int

    @property
    def place(self) -> tuple[int, int]:
        """What stays the same when the content is overwritten."""
        return self.device, self.inode


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """What is known of a running process."""

    pid: int
    uid: int
    args: tuple[str, ...]
    """Command line; bytes that are not UTF-8 as os.fsdecode has them."""
    binary: str | None
    """Path of its executable; None where nothing tells."""
    certain: bool
    """Whether the kernel says so; false when it is only the command line that does."""
    file: FileId | None
    """The executable itself, where it can be seen; it may no longer be what lies at the path."""
    ticks: int
    """Start in clock ticks since the machine's; with the id it tells processes apart."""
    started_ns: int
    """UTC."""


def file_id(path: str | Path) -> FileId | None:
    """Which file a path leads to, or None when there is none or it may not be seen."""
    try:
        status = os.stat(path)  # noqa: PTH116 - /proc/PID/exe must not become a Path of what it points to
    except OSError:
        return None
    return FileId(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def shown(text: str, most: int = 1024) -> str:
    """A path or argument in a form that can be sent, stored and printed: ASCII, everything else escaped, at most `most` long."""
    return printable(os.fsencode(text)[:most])[:most]


def process_ids() -> list[int]:
    """Every process there is."""
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208 - each second, hundreds of names


def command_line(pid: int) -> bytes | None:
    """The command line as the kernel has it, arguments ended by NUL; None when the process is gone or closed to us."""
    return _read(pid, "cmdline", MAX_COMMAND_LINE)


def start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since the machine did. None when it is gone."""
    fields = _stat(pid)
    return None if fields is None or fields[0] in ("Z", "X") else int(fields[_START])


def cpu_ns(pid: int) -> int | None:
    """Processor time of a process so far, in its own code and in the kernel; None when it is gone."""
    fields = _stat(pid)
    return None if fields is None else sum(map(int, fields[_CPU])) * (SECOND // _ticks_per_second())


def is_kernel_thread(pid: int) -> bool:
    """Whether a process is a thread of the kernel."""
    fields = _stat(pid)
    return fields is not None and bool(int(fields[_FLAGS]) & PF_KTHREAD)


def read_process(pid: int) -> ProcessFacts | None:
    """Everything about a process, or None when it is gone (or went away, and its id to another, while being read)."""
    ticks = start_ticks(pid)
    raw = command_line(pid)
    status = _read(pid, "status", 8192)
    if ticks is None or raw is None or status is None:
        return None
    owner = re.search(rb"^Uid:\s*(\d+)", status, re.MULTILINE)
    if owner is None:
        return None
    args = tuple(os.fsdecode(part) for part in raw.split(b"\0")[:-1])
    path, certain = _binary(pid, args)
    binary = path.removesuffix(DELETED) if path and certain else path
    seen = file_id(f"/proc/{pid}/exe") or (file_id(path) if path else None)  # a path that ends in DELETED leads nowhere
    if start_ticks(pid) != ticks:
        return None
    return ProcessFacts(pid, int(owner[1]), args, binary, certain, seen, ticks, utc_of_ticks(ticks))


def utc_of_ticks(ticks: int) -> int:
    """UTC ns of a start time in clock ticks; the tick (10 ms) that it lies in has begun then."""
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return time.time_ns() - now + ticks * (SECOND // _ticks_per_second())


def path_of(facts: ProcessFacts) -> str | None:
    """A path that leads to the very executable of a process: its own path, or the one through /proc when that has been replaced
    or lies in another mount namespace; None when neither is open to us.
    """
    if facts.binary is not None and file_id(facts.binary) is not None and facts.file == file_id(facts.binary):
        return facts.binary
    through = f"/proc/{facts.pid}/exe"
    return through if file_id(through) is not None else None


def _binary(pid: int, args: tuple[str, ...]) -> tuple[str | None, bool]:
    """Path of the executable and whether the kernel says so: its link, else its first mapping, else the command line."""
    if link := _link(pid, "exe"):
        return link, True
    # Closed unless the process is ours; with CAP_PERFMON readable from Linux 6.15.
    mapped = re.search(rb"^\S+ \S+ \S+ \S+ \S+ +(/.*)$", _read(pid, "maps", 4096) or b"", re.MULTILINE)
    if mapped:
        return os.fsdecode(mapped[1].replace(rb"\012", b"\n")), True
    command = args[0] if args else ""
    if "/" in command:
        folder = "/" if command.startswith("/") else _link(pid, "cwd")
        found = os.path.join(folder, command) if folder else None  # noqa: PTH118 - may not be UTF-8
    else:
        found = shutil.which(command)
    return (os.path.realpath(found) if found else None), False


def _link(pid: int, name: str) -> str | None:
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{pid}/{name}")  # noqa: PTH115 - may not be UTF-8, and must stay as it is
    return None


def _stat(pid: int) -> list[str] | None:
    raw = _read(pid, "stat", 4096)
    # The name is in parentheses and may hold anything, parentheses and spaces too.
    return None if not raw else raw.rpartition(b")")[2].decode("ascii", "replace").split()


def _read(pid: int, name: str, most: int) -> bytes | None:
    try:
        handle = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(handle, most)
    except OSError:  # it went away in between
        return None
    finally:
        os.close(handle)


@cache
def _ticks_per_second() -> int:
    return os.sysconf("SC_CLK_TCK")
