"""The thread that seals segments, at a lower priority than what records them. Arrow lets go of the interpreter while it works."""

from __future__ import annotations

import os
import queue
import threading
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from peerwatch.schema.table import Identity
from peerwatch.store.recovery import Closed
from peerwatch.store.seal import seal

NICE = 10
"""By how much the thread is nicer than the others; Linux keeps it per thread."""
NICEST = 19
RETRY_S = 60.0
"""How long after a failure, as on a full disk, the next attempt waits at most."""


@dataclass(frozen=True, slots=True)
class _Finish:
    """A request to have nothing left to do for a node and source."""

    identity: Identity
    done: threading.Event


class Sealer:
    """Seals one segment after the other. What fails stays as it is, readable, and is tried again."""

    def __init__(self, root: Path, retry_s: float = RETRY_S) -> None:
        """Seal segments of the archive `root`; the thread starts with the first one."""
        self._root = root
        self._retry_s = retry_s
        self._queue: queue.SimpleQueue[Closed | _Finish | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._pending: list[Closed] = []
        self._failure: str | None = None

    @property
    def failure(self) -> str | None:
        """Why segments could not be sealed the last time, in one line; None when nothing is left undone."""
        return self._failure

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
        item: Closed | _Finish | None
        while True:
            try:
                item = self._queue.get(timeout=self._retry_s if self._pending else None)
            except queue.Empty:
                self._attempt()
                continue
            if isinstance(item, Closed):
                self._pending.append(item)
            self._attempt()
            if item is None:
                return
            if isinstance(item, _Finish):
                self._pending = [s for s in self._pending if not _same_source(s.name.identity, item.identity)]
                item.done.set()

    def _attempt(self) -> None:
        """Seal what is pending; what fails stays pending."""
        pending, self._pending = self._pending, []
        failure = None
        for segment in pending:
            try:
                seal(self._root, segment)
            except Exception as error:  # noqa: BLE001 - one segment, whatever is wrong with it, must not stop the others
                self._pending.append(segment)
                failure = " ".join(f"cannot seal {segment.path.name}: {error}".split())
        if pending:
            self._failure = failure
            pa.default_memory_pool().release_unused()  # some 70 MB, which Arrow would keep for the next time


def _same_source(one: Identity, other: Identity) -> bool:
    return (one.node, one.source) == (other.node, other.source)
