"""Sources whose rows come from looking at a node again and again: asking it, reading what the system says of it, talking to it.

What is particular to one is its `Look`; this module has what all of them promise: a chunk a second, a watermark that follows the
clock, steps of the clock told, and that nothing which happens while looking ends the watcher. A look may block: then it runs in a
thread of its own, and the watcher's loop only takes what has been gathered.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import Event, Thread
from typing import Protocol

from peerwatch.schema.batch import SECOND
from peerwatch.schema.table import Table
from peerwatch.sources._api import Chunk
from peerwatch.sources.gathered import Gathered
from peerwatch.wire.raw import printable

RETRY_S = 10.0
"""Pause after a look that failed in a way it does not know itself."""

STEP_NS = 50_000_000
"""The wall clock moving by more than this against the monotonic one is a step, not its steering."""

JOIN_S = 5.0
"""How long a look is waited for when its source is closed."""


class Look(Protocol):
    """One way of looking at a node."""

    name: str
    """Name of the source."""
    tables: Sequence[type[Table]]
    """What it can fill, besides `loss`."""
    blocks: bool
    """Whether it may take long, and so needs a thread of its own."""

    def look(self, rows: Gathered) -> float:
        """Look once and add what was seen. Returns after how many seconds to look again.

        What keeps it from seeing is said with `rows.unseen(name, why, now)`, and `rows.seen` once it does; it raises nothing of
        that kind.
        """

    def close(self) -> None:
        """Give back what it holds. May be called while it looks, and then makes that end soon."""


class LookSource:
    """One node looked at in one way. See the module; `sources._api.Source` says what the methods promise."""

    live = True

    def __init__(
        self,
        look: Look,
        node: str,
        clock: Callable[[], int] = time.monotonic_ns,
        utc: Callable[[], int] = time.time_ns,
    ) -> None:
        """Look at `node`; `clock` is monotonic, ns, and `utc` the wall clock."""
        self.name = look.name
        self._look = look
        self._clock = clock
        self._utc = utc
        self._offset = utc() - clock()
        self._gathered = Gathered(node, look.name, utc())
        self._mark = 0
        self._said = 0
        self._due = 0
        self._stopped = Event()
        self._thread = Thread(target=self._go_on, name=f"peerwatch-{look.name}", daemon=True) if look.blocks else None
        if self._thread:
            self._thread.start()

    def read(self) -> Sequence[Chunk]:
        """What was seen since the last read; an empty chunk when that is nothing for a second."""
        now = self._clock()
        if self._thread is None and now >= self._due:
            self._due = now + int(self._once() * SECOND)
        self._watch_clock(now)
        if not self._gathered.waiting and now - self._said < SECOND:
            return []
        self._said = now
        self._mark = max(self._mark, self._utc())
        return self._gathered.take(self._mark)

    def finish(self) -> Sequence[Chunk]:
        """What has been gathered."""
        self._stopped.set()
        self._mark = max(self._mark, self._utc())
        return self._gathered.take(self._mark) if self._gathered.waiting else []

    def commit(self) -> None:
        """What is looked at keeps nothing for us."""

    def close(self) -> None:
        """Stop looking."""
        self._stopped.set()
        self._look.close()
        if self._thread and self._thread.is_alive():
            self._thread.join(JOIN_S)

    def _go_on(self) -> None:
        while not self._stopped.is_set():
            self._stopped.wait(self._once())

    def _once(self) -> float:
        try:
            pause = self._look.look(self._gathered)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other sources must go on
            if not self._stopped.is_set():
                why = printable(f"{type(error).__name__}: {error}".encode(errors="replace")[:200])
                self._gathered.unseen(self.name, f"Looking failed: {why}.", self._utc())
            return RETRY_S
        return max(pause, 0.0)

    def _watch_clock(self, now: int) -> None:
        """A step of the wall clock is a row before anything that has the new time."""
        utc = self._utc()
        step = utc - now - self._offset
        self._offset += step
        if abs(step) > STEP_NS:
            before = utc - step
            span = (min(before, utc), max(before, utc))
            why = f"The clock was set {'forward' if step > 0 else 'back'} by {abs(step) / SECOND:.3f} s."
            self._gathered.clock(why, span, utc)
            self._mark = utc if step < 0 else self._mark
