"""Looking at a node's process: processor time of its threads, memory, descriptors, disk, and whether it is still the same one.

Figures are taken every ten seconds. Every second it is seen whether the process is still there, which costs one read.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from peerwatch.schema.batch import SECOND
from peerwatch.schema.table import Table
from peerwatch.schema.tables.node import Node
from peerwatch.schema.tables.process_state import ProcessState
from peerwatch.schema.tables.thread_state import ThreadState
from peerwatch.sources.gathered import Gathered
from peerwatch.sources.process.figures import read_figures
from peerwatch.sources.process.proc import OUT_OF_SIGHT, Proc
from peerwatch.sources.usdt.processes import utc_of_ticks

EVERY_NS = 10 * SECOND
"""From one row of figures to the next."""
ALIVE_S = 1.0
"""From one look at whether the process is there to the next."""


class ProcessLook:
    """The process of one node. See the module; `sources.look.Look` says what the methods promise."""

    name = "process"
    tables: Sequence[type[Table]] = (ProcessState, ThreadState, Node)
    blocks = False

    def __init__(
        self,
        find: Callable[[], int | None],
        datadir: Path | None = None,
        *,
        tell_node: bool = False,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Look at the process that `find` names.

        Args:
            find: id of the node's process, None while it has none; asked each second while there is none, else every ten. A
                process that runs is kept until another one is named.
            datadir: where its free disk is seen.
            tell_node: whether to write `node` rows: only where no other source does, since peer ids would start over twice if a
                process were told twice as started.
            clock: monotonic, ns.
        """
        self._find = find
        self._datadir = datadir
        self._tell_node = tell_node
        self._clock = clock
        self._proc: Proc | None = None
        self._ticks: int | None = None
        """Start of the process that was held last."""
        self._due = 0
        self._since = time.time_ns()

    def look(self, rows: Gathered) -> float:
        """See whether the process is there, and take its figures when they are due."""
        now, clock = time.time_ns(), self._clock()
        if self._proc and self._proc.start_ticks() is None:
            self._end(rows, now)
        if not self._proc or clock >= self._due:
            self._follow(rows, now)
        if self._proc and clock >= self._due:
            self._due = clock + EVERY_NS
            self._take(self._proc, rows)
        return ALIVE_S

    def close(self) -> None:
        """Hold the process no longer."""
        if self._proc:
            self._proc.close()
        self._proc = None

    def _follow(self, rows: Gathered, now: int) -> None:
        """Hold the process that is the node's now."""
        pid = self._find()
        if pid is None or (self._proc and self._proc.pid == pid):
            return
        try:
            proc = Proc(pid)
        except OUT_OF_SIGHT:
            if not self._proc and _exists(pid):
                rows.unseen(self.name, "What the system tells of the node's process is closed to us.", now)
            return
        ticks = proc.start_ticks()
        if ticks is None:
            proc.close()
            return
        started = utc_of_ticks(ticks)
        if self._ticks is not None:
            rows.restart(started)
        self.close()
        self._proc, self._ticks, self._due = proc, ticks, 0
        if self._tell_node:
            event = "started" if started >= self._since else "found"
            rows.add(Node, now, event=event, pid=pid, started=started)
        rows.seen(self.name, now)

    def _end(self, rows: Gathered, now: int) -> None:
        if self._tell_node and self._proc and self._ticks is not None:
            rows.add(Node, now, event="exited", pid=self._proc.pid, started=utc_of_ticks(self._ticks))
        self.close()
        rows.unseen(self.name, "The node's process is not running.", now)

    def _take(self, proc: Proc, rows: Gathered) -> None:
        figures = read_figures(proc, self._datadir)
        if figures is None:
            return  # it has just ended: the next look says so
        now = time.time_ns()
        state, threads = figures
        rows.add(ProcessState, now, **state)
        rows.add_rows((ThreadState, {"ts": [now] * len(threads["pid"]), **threads}))


def _exists(pid: int) -> bool:
    """Whether there is a process, though /proc does not show it to us (hidepid)."""
    with contextlib.suppress(PermissionError):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
    return True
