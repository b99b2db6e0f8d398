"""The thread that seals segments and keeps the archive, at a lower priority than what records.

Arrow lets go of the interpreter while it works. Sealing goes first: the rest is done piece by piece in between.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from peerwatch.schema.table import Identity, Level
from peerwatch.store.recovery import Closed
from peerwatch.store.retention import Retention
from peerwatch.store.seal import seal
from peerwatch.store.upkeep import Upkeep

NICE = 10
"""By how much the thread is nicer than the others; Linux keeps it per thread."""
NICEST = 19
RETRY_S = 60.0
"""How long after a failure, as on a full disk, the next attempt waits at most."""
UPKEEP_S = 300.0
"""How long the archive is left alone at most while nothing is sealed."""


@dataclass(frozen=True, slots=True)
class _Finish:
    """A request to have nothing left to do for a node and source."""

    identity: Identity
    done: threading.Event


class Sealer:
    """Seals one segment after the other. What fails stays as it is, readable, and is tried again."""

    def __init__(
        self,
        root: Path,
        retry_s: float = RETRY_S,
        *,
        level: Level = Level.FULL,
        retention: Retention | None = None,
        upkeep_s: float = UPKEEP_S,
    ) -> None:
        """Seal segments of the archive `root` at a level, and apply a retention; the thread starts with the first one."""
        self._root = root
        self._level = level
        self._retry_s = retry_s
        self._upkeep_s = upkeep_s
        self._queue: queue.SimpleQueue[Closed | _Finish | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._pending: list[Closed] = []
        self._failure: str | None = None
        self._upkeep = Upkeep(root, retention)

    @property
    def failure(self) -> str | None:
        """Why segments could not be sealed the last time, in one line; None when nothing is left undone."""
        return self._failure

    @property
    def upkeep_failure(self) -> str | None:
        """What else could not be done the last time, in one line: putting files together, or removing old rows."""
        return self._upkeep.failure

    def submit(self, segment: Closed) -> None:
        """Have a segment sealed. Returns at once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="peerwatch-sealer", daemon=True)
            self._thread.start()
        self._queue.put(segment)

    def finish(self, identity: Identity) -> None:
        """Wait until everything submitted was tried, and leave alone what is still unsealed of a node and source.

        After that another process may take them up.
        """
        if self._thread is not None:
            request = _Finish(identity, threading.Event())
            self._queue.put(request)
            request.done.wait()

    def close(self) -> None:
        """Seal everything submitted, or try to once more, and end. May be called twice."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        me = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, me, min(os.getpriority(os.PRIO_PROCESS, me) + NICE, NICEST))
        work: Generator[None, None, None] | None = None
        while True:
            try:
                item = self._next(wait=work is None)
            except queue.Empty:
                if work is None:
                    self._attempt()
                work = self._go_on(work)
                continue
            if isinstance(item, Closed):
                self._pending.append(item)
            elif work is not None:
                work.close()  # given up where it was
                work = None
            self._attempt()
            if item is None:
                return
            if isinstance(item, _Finish):
                self._pending = [s for s in self._pending if not _same_source(s.name.identity, item.identity)]
                self._upkeep.release(item.identity)
                item.done.set()
            else:
                work = self._go_on(work)  # a piece, even when one segment comes after the other

    def _next(self, *, wait: bool) -> Closed | _Finish | None:
        """What is asked for next. Raises queue.Empty when there is nothing, or after some time without anything."""
        if not wait:
            return self._queue.get_nowait()
        return self._queue.get(timeout=self._retry_s if self._pending else self._upkeep_s)

    def _go_on(self, work: Generator[None, None, None] | None) -> Generator[None, None, None] | None:
        """Go on with the upkeep, or begin with it; return what is left to do."""
        work = work or self._upkeep.round()
        try:
            for _ in work:
                return work
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the archive, segments must be sealed
            self._upkeep.failure = " ".join(f"cannot keep the archive: {error}".split())
        pa.default_memory_pool().release_unused()
        return None

    def _attempt(self) -> None:
        """Seal what is pending; what fails stays pending."""
        pending, self._pending = self._pending, []
        failure = None
        for segment in pending:
            try:
                self._upkeep.sealed(segment.name.identity, seal(self._root, segment, self._level))
            except Exception as error:  # noqa: BLE001 - one segment, whatever is wrong with it, must not stop the others
                self._pending.append(segment)
                failure = " ".join(f"cannot seal {segment.path.name}: {error}".split())
        if pending:
            self._failure = failure
            pa.default_memory_pool().release_unused()  # some 70 MB, which Arrow would keep for the next time


def _same_source(one: Identity, other: Identity) -> bool:
    return (one.node, one.source) == (other.node, other.source)
