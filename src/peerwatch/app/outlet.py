"""Standard output that cannot hold up the watcher: a terminal that is paused, a pager, or a log daemon that is stuck.

Lines are written by a thread of their own. When its reader does not keep up, lines are dropped and their number is said.
"""

from __future__ import annotations

import queue
import threading
from typing import TextIO

MOST_LINES = 2000
"""Texts that wait at most; then newer ones are dropped."""

CLOSE_S = 2.0
"""How long closing waits for what is left."""


class Outlet:
    """What a text stream's writers need of it, without ever waiting for its reader. The thread starts with the first text."""

    def __init__(self, stream: TextIO, *, lossless: bool = False) -> None:
        """Write to `stream`; `lossless` waits for a slow reader after all, for what has nothing to miss meanwhile."""
        self._stream = stream
        self._lossless = lossless
        self._waiting: queue.Queue[str] = queue.Queue(MOST_LINES)
        self._dropped = 0
        self._thread: threading.Thread | None = None
        self._broken = False

    def write(self, text: str) -> int:
        """Hand a text over; it is dropped when too much waits, or when nobody can read any more."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="peerwatch-outlet", daemon=True)
            self._thread.start()
        if self._lossless:
            self._waiting.put(text)
            return len(text)
        if self._dropped and not self._waiting.full():
            note, self._dropped = f"… {self._dropped} texts were not shown: the reader was too slow\n", 0
            self._waiting.put_nowait(note)
        try:
            self._waiting.put_nowait(text)
        except queue.Full:
            self._dropped += 1
        return len(text)

    def flush(self) -> None:
        """Nothing to do: the thread flushes when nothing waits."""

    def isatty(self) -> bool:
        """Whether a terminal shows it."""
        return self._stream.isatty()

    def close(self) -> None:
        """Wait, but not long, until everything is out."""
        if self._thread is not None and not self._broken:
            waiter = threading.Thread(target=self._waiting.join, daemon=True)
            waiter.start()
            waiter.join(CLOSE_S)

    def _run(self) -> None:
        while True:
            text = self._waiting.get()
            try:
                if not self._broken:
                    self._stream.write(text)
                    if self._waiting.empty():
                        self._stream.flush()
            except (OSError, ValueError):
                self._broken = True  # the reader is gone; recording and detection go on
            finally:
                self._waiting.task_done()
