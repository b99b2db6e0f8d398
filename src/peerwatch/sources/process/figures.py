"""Figures of a node's process at one moment, out of /proc.

The memory is that of `status`: `smaps_rollup` would be exact, but walks all pages of a node and holds up its page faults.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from peerwatch.schema.batch import SECOND
from peerwatch.sources.process.proc import Proc
from peerwatch.sources.process.threads import Threads, read_threads

KIB = 1024
_MAJOR, _USER, _SYSTEM, _THREADS = 9, 11, 12, 17
"""Fields of `stat` after the name (proc_pid_stat(5): 12, 14, 15, 20). A process counts its threads that have ended, too."""
_MOST_FILES = re.compile(rb"^Max open files\s+(\d+)", re.MULTILINE)
_IO = re.compile(rb"^read_bytes: (\d+)\nwrite_bytes: (\d+)", re.MULTILINE)


def read_figures(proc: Proc, datadir: Path | None) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """What a process is like now.

    Returns:
        one row of `process_state`, and columns of `thread_state` with a row for each label, both without `ts`; what is closed to
        us is None in them. None if the process has ended.
    """
    threads = read_threads(proc)
    status = proc.read("status") or b""
    io = _IO.search(proc.read("io") or b"")
    most = _MOST_FILES.search(proc.read("limits") or b"")
    descriptors = count_descriptors(proc)
    fields = proc.stat()
    if fields is None or not threads:
        return None
    switches = [(each.voluntary, each.forced) for each in threads.values()]
    voluntary, forced = ([of[i] for of in switches] for i in (0, 1))
    state = {
        "pid": proc.pid,
        "cpu_user": ns_of_ticks(int(fields[_USER])),
        "cpu_system": ns_of_ticks(int(fields[_SYSTEM])),
        "resident": _kib(status, b"VmRSS"),
        "anonymous": _kib(status, b"RssAnon"),
        "swapped": _kib(status, b"VmSwap"),
        "threads": int(fields[_THREADS]),
        "descriptors": descriptors,
        "descriptors_most": int(most[1]) if most else None,
        "read": int(io[1]) if io else None,
        "written": int(io[2]) if io else None,
        "faults_major": int(fields[_MAJOR]),
        "switches_voluntary": _sum(voluntary),
        "switches_forced": _sum(forced),
        "disk_free": disk_free(datadir),
    }
    return state, _thread_columns(proc.pid, threads)


def count_descriptors(proc: Proc) -> int | None:
    """Open descriptors: from Linux 6.2 the size of the folder `fd`, which everybody may see; before that what is in it."""
    if size := proc.size("fd"):
        return size
    names = proc.names("fd")
    return None if names is None else len(names)


def disk_free(folder: Path | None) -> int | None:
    """Bytes free for everybody where a folder is; None where that cannot be seen."""
    with contextlib.suppress(OSError):
        if folder is not None:
            system = os.statvfs(folder)
            return system.f_bavail * system.f_frsize
    return None


def ns_of_ticks(ticks: int) -> int:
    """Clock ticks (10 ms) as ns."""
    return ticks * (SECOND // _ticks_per_second())


def _thread_columns(pid: int, threads: Mapping[str, Threads]) -> dict[str, Any]:
    of = list(threads.values())
    return {
        "pid": [pid] * len(of),
        "thread": list(threads),
        "threads": [each.count for each in of],
        "cpu_user": [ns_of_ticks(each.user) for each in of],
        "cpu_system": [ns_of_ticks(each.system) for each in of],
        "waited": [each.waited for each in of],
        "switches_voluntary": [each.voluntary for each in of],
        "switches_forced": [each.forced for each in of],
    }


def _kib(status: bytes, name: bytes) -> int | None:
    """A line `name: … kB` of `status`, in bytes."""
    found = re.search(rb"^" + name + rb":\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * KIB if found else None


def _sum(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


@cache
def _ticks_per_second() -> int:
    return os.sysconf("SC_CLK_TCK")
