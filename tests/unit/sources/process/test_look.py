"""Looking at real processes come and go."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from peerwatch.schema.batch import SECOND
from peerwatch.sources._api import Chunk
from peerwatch.sources.gathered import Gathered
from peerwatch.sources.look import LookSource
from peerwatch.sources.process.look import ALIVE_S, EVERY_NS, ProcessLook
from peerwatch.sources.usdt.processes import start_ticks, utc_of_ticks

TICK_NS = 20_000_000


class Watched:
    """A look, and what it is told about the node's process."""

    def __init__(self, *, tell_node: bool = False) -> None:
        """Nothing is found yet."""
        self.pid: int | None = None
        self.now = 0
        self.rows = Gathered("alice", "process", time.time_ns())
        self.look = ProcessLook(lambda: self.pid, Path("/"), tell_node=tell_node, clock=lambda: self.now)

    def pass_and_look(self, seconds: float = ALIVE_S) -> list[Chunk]:
        """Let time pass and look once."""
        self.now += int(seconds * SECOND)
        assert self.look.look(self.rows) == ALIVE_S
        return self.rows.take(time.time_ns())


@pytest.fixture
def watched() -> Iterator[Watched]:
    one = Watched()
    yield one
    one.look.close()
    one.look.close()


def counts(chunk: Chunk) -> dict[str, int]:
    return {name: batch.num_rows for name, batch in chunk.rows.items()}


def losses(chunk: Chunk) -> list[tuple[str, str]]:
    return [(row["kind"], row["reason"]) for row in chunk.rows["loss"].to_pylist()] if "loss" in chunk.rows else []


def test_figures_come_every_ten_seconds(child, watched: Watched) -> None:
    """At once and then ten seconds apart, with a row for each kind of thread, all at one moment."""
    watched.pid = child("bitcoind", "b-net", "b-msghand").pid
    seen = [counts(chunk) for _ in range(12) for chunk in watched.pass_and_look()]
    assert seen == [{"process_state": 1, "thread_state": 3}, *[{}] * 9, {"process_state": 1, "thread_state": 3}, {}]
    (chunk,) = watched.pass_and_look(EVERY_NS / SECOND)
    times = chunk.rows["thread_state"]["ts"].to_pylist()
    assert set(times) == set(chunk.rows["process_state"]["ts"].to_pylist())
    assert abs(times[0] - time.time_ns()) < 5 * SECOND


def test_a_node_that_never_ran_is_no_loss(watched: Watched) -> None:
    """Nothing is said as long as there was no process, nor of an id that nobody has."""
    assert counts(watched.pass_and_look()[0]) == {}
    watched.pid = 2**22 + 1
    assert counts(watched.pass_and_look()[0]) == {}


def test_an_end_is_told_within_a_second_and_once(child, watched: Watched) -> None:
    """A zombie has ended, too, and so it stays when it is gone, though its id is still named."""
    one = child("bitcoind", "b-net")
    watched.pid = one.pid
    watched.pass_and_look()
    one.kill()
    assert losses(watched.pass_and_look()[0]) == [("blind", "The node's process is not running.")]
    one.reap()
    assert [counts(chunk) for _ in range(12) for chunk in watched.pass_and_look()] == [{}] * 12


def test_a_restart_begins_a_session(child, watched: Watched) -> None:
    """Rows of the next process are of a session that began with it, and tell how long nothing was seen."""
    one = child("bitcoind", "b-net")
    watched.pid = one.pid
    watched.pass_and_look()
    one.reap()
    watched.pid = None
    watched.pass_and_look()
    other = child("bitcoind", "b-net")
    watched.pid = other.pid
    before, after = watched.pass_and_look()
    assert before.ended
    assert not after.ended
    started = utc_of_ticks(start_ticks(other.pid) or 0)
    assert abs(after.identity.session - started) < TICK_NS
    assert counts(after) == {"loss": 1, "process_state": 1, "thread_state": 2}
    assert losses(after) == [("gap", "Seen again after: The node's process is not running.")]
    assert after.rows["process_state"]["pid"].to_pylist() == [other.pid]


def test_another_process_is_another_session_though_the_first_runs_on(child, watched: Watched) -> None:
    """What is named is followed at the next figures; while nothing is named, what runs is."""
    one, other = child("bitcoind"), child("bitcoind")
    watched.pid = one.pid
    watched.pass_and_look()
    watched.pid = None
    assert counts(watched.pass_and_look(10)[0])["process_state"] == 1
    watched.pid = other.pid
    before, after = watched.pass_and_look(10)
    assert counts(before) == {}
    assert after.rows["process_state"]["pid"].to_pylist() == [other.pid]
    assert losses(after) == []


def test_node_rows_tell_what_became_of_the_process(child) -> None:
    """Where they are wanted: found, exited, started, each with the id and start of its process."""
    first = child("bitcoind")
    time.sleep(0.03)  # the start of a process is known to a tick
    watched = Watched(tell_node=True)
    watched.pid = first.pid
    start = utc_of_ticks(start_ticks(first.pid) or 0)
    (found,) = watched.pass_and_look()
    first.reap()
    watched.pid = None
    (ended,) = watched.pass_and_look()
    time.sleep(0.03)
    second = child("bitcoind")
    watched.pid = second.pid
    _, begun = watched.pass_and_look()
    watched.look.close()

    def told(chunk: Chunk) -> list[tuple[Any, ...]]:
        return [(row["event"], row["pid"], row["started"]) for row in chunk.rows["node"].to_pylist()]

    assert told(found) == [("found", first.pid, pytest.approx(start, abs=TICK_NS))]
    assert told(ended) == [("exited", first.pid, pytest.approx(start, abs=TICK_NS))]
    ((event, pid, started),) = told(begun)
    assert (event, pid) == ("started", second.pid)
    assert started > start


def test_no_node_rows_unless_they_are_wanted(child, watched: Watched) -> None:
    """Another source tells of the process then."""
    one = child("bitcoind")
    watched.pid = one.pid
    tables = set(counts(watched.pass_and_look()[0]))
    one.reap()
    tables |= set(counts(watched.pass_and_look()[0]))
    assert tables == {"process_state", "thread_state", "loss"}


def test_a_hidden_process_is_said(child, nobody) -> None:
    """Where /proc is mounted with hidepid, that is why nothing is seen, and it is said once."""
    one = child("bitcoind")

    def looked() -> list[list[tuple[str, str]]]:
        watched = Watched()
        watched.pid = one.pid
        return [losses(watched.pass_and_look(10)[0]) for _ in range(3)]

    why = "What the system tells of the node's process is closed to us."
    assert nobody(looked, hidepid=True) == [[["blind", why]], [], []]


def test_as_a_source(child) -> None:
    """Through the source that all looks share: rows with the source's name, and closing gives everything back."""
    one = child("bitcoind", "b-net")
    before = len(list(Path("/proc/self/fd").iterdir()))
    source = LookSource(ProcessLook(lambda: one.pid), "alice")
    (chunk,) = source.read()
    assert chunk.identity.source == "process"
    assert counts(chunk) == {"process_state": 1, "thread_state": 2}
    assert chunk.rows["process_state"]["disk_free"].to_pylist() == [None]
    source.close()
    source.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_processes_that_end_while_they_are_read(child) -> None:
    """Many short-lived ones: whatever the moment of their end, no error, and never figures of half a process."""
    watched = Watched()
    for _ in range(15):
        one = child("bitcoind", *["b-net"] * 8)
        watched.pid = one.pid
        one.running.kill()  # while it is looked at
        for _ in range(20):
            for chunk in watched.pass_and_look(10):
                if "process_state" in chunk.rows:
                    row = chunk.rows["process_state"].to_pylist()[-1]
                    assert row["pid"] == one.pid
                    assert row["threads"] is not None
        one.reap()
    watched.look.close()
