"""The threads of a node by what they do: Bitcoin Core gives each a name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from peerwatch.sources.process.proc import Proc, stat_fields

MAIN = "main"
"""The first thread, whatever it is called."""
OTHER = "other"
"""All threads that Core does not name, such as those of LevelDB and other libraries: they have the name of who made them."""

NAMES = frozenset(
    {
        # messages and connections
        "msghand", "net", "opencon", "addcon", "dnsseed", "i2paccept", "torcontrol", "mapport", "upnp", "privbcast",
        # blocks and transactions
        "scriptch", "initload", "loadblk", "prevout", "utxocompact",
        # indexes
        "txindex", "txidx", "coinstatsinde", "coinstatsidx", "basic block f", "blkfltbscidx", "txospenderind", "txospenderidx",
        # the rest
        "scheduler", "http", "httpworker", "http_pool", "capnp-loop", "shutoff",
        "qt-init", "qt-clientmodl", "qt-rpcconsole", "qt-walletctrl",
    }
)  # fmt: skip
"""Names that Core gives its threads, without the number in a pool, as far as the kernel keeps them, which is 15 bytes with `b-`
(calls of util::TraceThread and util::ThreadRename in versions 0.20 to 31, names of indexes and of thread pools)."""

_NUMBER = re.compile(rb"[._]?\d+\Z")
_SWITCHES = re.compile(rb"^voluntary_ctxt_switches:\s+(\d+)\s+nonvoluntary_ctxt_switches:\s+(\d+)", re.MULTILINE)
_USER, _SYSTEM = 11, 12
"""Fields of `stat` after the name (proc_pid_stat(5): 14 and 15)."""


@dataclass(slots=True)
class Threads:
    """Threads of one name, added up; switches are None when those of one of them could not be read."""

    count: int = 0
    user: int = 0
    """Clock ticks."""
    system: int = 0
    """Clock ticks."""
    waited: int | None = 0
    """ns; None where the kernel does not count it."""
    voluntary: int | None = 0
    forced: int | None = 0


def label(name: bytes) -> str:
    """Name of a thread without `b-` and the number that it has in its pool; `other` if it is none of Core's."""
    if not name.startswith(b"b-"):
        return OTHER
    bare = _NUMBER.sub(b"", name[2:]).decode("ascii", "replace")
    return bare if bare in NAMES else OTHER


def read_threads(proc: Proc) -> dict[str, Threads]:
    """The threads that a process has now, by label. Those that end meanwhile are left out."""
    threads: dict[str, Threads] = {}
    ran = 0
    for thread in proc.names("task") or ():
        raw = proc.read(f"task/{thread}/stat")
        fields = stat_fields(raw)
        if raw is None or fields is None:
            continue
        name = MAIN if thread == str(proc.pid) else label(raw[raw.find(b"(") + 1 : raw.rfind(b")")])
        each = threads.setdefault(name, Threads())
        each.count += 1
        each.user += int(fields[_USER])
        each.system += int(fields[_SYSTEM])
        run, waited = _schedstat(proc.read(f"task/{thread}/schedstat"))
        ran += run
        each.waited = (each.waited or 0) + waited
        switches = _SWITCHES.search(proc.read(f"task/{thread}/status") or b"")
        each.voluntary = _sum(each.voluntary, int(switches[1]) if switches else None)
        each.forced = _sum(each.forced, int(switches[2]) if switches else None)
    if not ran:
        for each in threads.values():
            each.waited = None
    return threads


def _schedstat(raw: bytes | None) -> tuple[int, int]:
    """How long a thread ran, and waited to, ns; 0 where the kernel does not count (Documentation/scheduler/sched-stats.rst)."""
    numbers = raw.split() if raw else []
    return (int(numbers[0]), int(numbers[1])) if len(numbers) > 1 else (0, 0)


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other
