"""Sources that look at a node again and again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from peerwatch.schema.batch import SECOND
from peerwatch.schema.table import Table
from peerwatch.schema.tables.loss import Loss
from peerwatch.schema.tables.memory_state import MemoryState
from peerwatch.sources.gathered import Gathered
from peerwatch.sources.look import LookSource

NOW = 1_760_000_000 * SECOND


class Counting:
    """Sees how often it has looked; every look is 5 s after the one before."""

    name = "counting"
    tables: Sequence[type[Table]] = (MemoryState,)

    def __init__(self, *, blocks: bool = False, then: Callable[[int], None] = lambda _: None) -> None:
        """`then` is called with the number of the look."""
        self.blocks = blocks
        self.looks = 0
        self.closed = 0
        self._then = then

    def look(self, rows: Gathered) -> float:
        """Look."""
        self.looks += 1
        self._then(self.looks)
        rows.seen(self.name, NOW)
        rows.add(MemoryState, NOW, used=self.looks)
        return 5.0

    def close(self) -> None:
        """Count it."""
        self.closed += 1


class Clocks:
    """A monotonic clock and a wall clock, set by hand."""

    monotonic = 0
    wall = NOW

    def pass_s(self, seconds: float) -> None:
        """Let time pass on both."""
        self.monotonic += int(seconds * SECOND)
        self.wall += int(seconds * SECOND)

    def source(self, look: Counting) -> LookSource:
        """A source with these clocks."""
        return LookSource(look, "alice", lambda: self.monotonic, lambda: self.wall)


def test_it_looks_when_the_look_wants_to() -> None:
    """Looks come as far apart as they ask for, and between them an empty chunk a second."""
    clocks, look = Clocks(), Counting()
    source = clocks.source(look)
    (first,) = source.read()
    assert first.rows["memory_state"]["used"].to_pylist() == [1]
    assert source.read() == []
    marks = []
    for _ in range(4):
        clocks.pass_s(1)
        (empty,) = source.read()
        assert not empty.rows
        marks.append(empty.watermark)
    assert marks == sorted(set(marks))
    assert look.looks == 1
    clocks.pass_s(1)
    assert [len(c.events) for c in source.read()] == [1]


def test_a_failure_is_a_row_and_it_goes_on() -> None:
    """A look that raises is told as blindness, tried again later, and told as seen again."""

    def fail_once(number: int) -> None:
        if number == 1:
            raise RuntimeError("no\x1bway")

    clocks, look = Clocks(), Counting(then=fail_once)
    source = clocks.source(look)
    (told,) = source.read()
    (row,) = told.rows[Loss.name].to_pylist()
    assert (row["kind"], row["probe"]) == ("blind", "counting")
    assert "RuntimeError: no\\x1bway" in row["reason"]
    clocks.pass_s(10)
    (again,) = source.read()
    assert again.rows[Loss.name]["kind"].to_pylist() == ["gap"]
    assert again.rows["memory_state"].num_rows == 1


def test_a_step_of_the_clock_is_a_row() -> None:
    """A wall clock that is set back takes the watermark with it, and a row of kind clock says so."""
    clocks, look = Clocks(), Counting()
    source = clocks.source(look)
    source.read()
    clocks.pass_s(1)
    clocks.wall -= 100 * SECOND
    (chunk,) = source.read()
    (row,) = chunk.rows[Loss.name].to_pylist()
    assert (row["kind"], row["ts"]) == ("clock", clocks.wall)
    assert row["last_ts"] - row["first_ts"] == 100 * SECOND
    assert chunk.watermark == clocks.wall


def test_a_look_that_blocks_does_not_block_the_loop() -> None:
    """What takes long runs in a thread of its own, is handed over when it has come, and is left behind when closed."""
    free, told = threading.Event(), threading.Event()

    def wait(_: int) -> None:
        told.set()
        free.wait(30)

    look = Counting(blocks=True, then=wait)
    source = LookSource(look, "alice")
    assert told.wait(10)
    assert not any(chunk.rows for chunk in source.read())
    free.set()
    until = time.monotonic() + 10
    chunks = []
    while not chunks and time.monotonic() < until:
        chunks = [c for c in source.read() if c.rows]
        time.sleep(0.01)
    assert chunks[0].rows["memory_state"]["used"].to_pylist() == [1]
    source.close()
    source.close()
    assert look.closed == 2
    assert look.looks == 1


def test_finish_hands_over_what_is_left() -> None:
    """At the end of a run, what was gathered is given, and then nothing more."""
    clocks = Clocks()
    source = clocks.source(Counting())
    source._once()
    assert [c.rows["memory_state"].num_rows for c in source.finish()] == [1]
    assert source.finish() == []
