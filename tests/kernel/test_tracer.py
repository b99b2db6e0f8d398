"""The tracer and its watcher: what is sent, again after a restart, and to one that misbehaves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from peerwatch.sources.usdt.discover import Wanted
from peerwatch.sources.usdt.kernel import Kernel
from peerwatch.sources.usdt.link import PROTOCOL, Blind, Exited, Hello, Link, LinkClosedError, Process, Recorded, Who, pair
from peerwatch.sources.usdt.ring import Ring
from peerwatch.sources.usdt.slots import Slots
from peerwatch.sources.usdt.tracer import Tracer

pytestmark = pytest.mark.kernel

PATIENCE_S = 60.0
SLOWLY = ("--load", "forever", "--rate", "100")


class Traced:
    """A tracer that is stepped by hand, and links to it."""

    def __init__(self, kernel: Kernel, *wanted: Wanted) -> None:
        """Start it."""
        self.said: list[str] = []
        self.links: list[Link] = []
        self.tracer = Tracer(kernel, wanted, self.said.append)
        self.tracer.start()

    def link(self, last_end: str = "") -> Link:
        """A watcher's end of a new link."""
        ours, theirs = pair()
        self.tracer.admit(ours, last_end)
        self.links.append(Link(theirs))
        return self.links[-1]

    def facts(self, link: Link, until: Callable[[list[Any]], Any]) -> list[Any]:
        """Everything that comes until a condition holds."""
        got: list[Any] = []
        deadline = time.monotonic() + PATIENCE_S
        while not until(got):
            assert time.monotonic() < deadline, (got, self.said)
            self.tracer.step(0.01)
            while (fact := link.receive()) is not None:
                got.append(fact)
        return got

    def settle(self) -> None:
        """Let it do what is due."""
        for _ in range(5):
            self.tracer.step(0.01)


@pytest.fixture
def trace(load: Callable[..., Kernel]) -> Iterator[Callable[..., Traced]]:
    """Starts a tracer for the nodes described."""
    started: list[Traced] = []

    def begin(*wanted: Wanted) -> Traced:
        started.append(Traced(load(4 << 20), *wanted))
        return started[-1]

    yield begin
    for traced in started:
        traced.tracer.close()
        traced.tracer.close()
        for link in traced.links:
            link.close()


def kinds(facts: list[Any]) -> list[type[Any]]:
    return [type(fact) for fact in facts]


def test_a_watcher_gets_hello_maps_and_facts(trace: Callable[..., Traced], players: Any) -> None:
    """The maps are those that BPF fills: records, slots and counters are in them."""
    path = players.copy()
    before = time.time_ns()
    traced = trace(Wanted("alice", binary=str(path)))
    link = traced.link("signal 9")
    process = players.start(path, "--load", "100", "--rate", "200", "--no-connections", "--peers", "1")
    hello, *facts = traced.facts(link, lambda got: Exited in kinds(got))
    assert isinstance(hello, Hello)
    assert before <= hello.session <= time.time_ns()
    assert (hello.protocol, hello.ring_bytes, hello.starts, hello.barren, hello.last_end) == (PROTOCOL, 4 << 20, 0, 0, "signal 9")
    slot = next(fact.slot for fact in facts if isinstance(fact, Process))
    _, offsets, _ = Ring(link.descriptors.ring, hello.ring_bytes).read(1 << 20)
    assert (
        len(offsets)
        == int(Slots(link.descriptors.slots).live["seen"][slot])
        == sum(players.report(process)["fired"].values()) + 1
    )


def test_a_watcher_that_comes_again_gets_the_same(trace: Callable[..., Traced], players: Any) -> None:
    """Killed at any time, the next one learns everything that was not recorded, and all that is still true."""
    path = players.copy()
    traced = trace(Wanted("alice", binary=str(path)))
    link = traced.link()
    process = players.start(path, *SLOWLY)
    first = traced.facts(link, lambda got: any(isinstance(fact, Process) and fact.slot is not None for fact in got))
    link.close()
    traced.settle()
    assert not traced.tracer.serving
    link = traced.link()
    again = traced.facts(link, lambda got: len(got) >= len(first))
    assert again[1:] == first[1:]
    link.send(Recorded(again[-1].number))
    traced.settle()
    link.close()
    process.kill()
    traced.settle()
    link = traced.link()
    hello, *facts = traced.facts(link, lambda got: Exited in kinds(got))
    assert facts[0] == [fact for fact in first if isinstance(fact, Process)][-1]
    assert kinds(facts) == [Process, Exited]
    link.send(Recorded(facts[-1].number))
    traced.settle()
    link.close()
    link = traced.link()
    assert kinds(traced.facts(link, lambda got: got)) == [Hello]
    traced.settle()
    assert link.receive() is None
    assert hello.starts == 2


def test_watchers_that_record_nothing_are_counted(trace: Callable[..., Traced], players: Any) -> None:
    """Hello says how many in a row recorded nothing; recording anything begins the count anew."""
    traced = trace(Wanted("alice", binary=str(players.copy())))
    barren = []
    for recording in (False, False, True, False):
        link = traced.link()
        barren.append(link.receive(1).barren)  # type: ignore[union-attr]
        if recording:
            link.send(Recorded(0))
        traced.settle()
        link.close()
    assert barren == [0, 1, 2, 0]


def test_who_is_answered_at_once(trace: Callable[..., Traced], players: Any) -> None:
    """Also for a process whose end was recorded long ago: its records may still be in the ring."""
    path = players.copy()
    traced = trace(Wanted("alice", binary=str(path)))
    link = traced.link()
    process = players.start(path, *SLOWLY)
    slots = Slots(traced.tracer._kernel.fds["slots"])
    deadline = time.monotonic() + PATIENCE_S
    while not slots.live["tgid"][0]:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    link.send(Who(0))
    link.send(Who(5))
    traced.tracer.step(0)
    got = []
    while (fact := link.receive(0.1)) is not None:
        got.append(fact)
    assert [fact.slot for fact in got if isinstance(fact, Process)] == [0]
    process.kill()
    end = traced.facts(link, lambda got: Exited in kinds(got))[-1]
    link.send(Recorded(end.number))
    traced.settle()
    link.send(Who(0))
    answer = traced.facts(link, lambda got: got)
    assert [(fact.tgid, fact.slot, fact.node) for fact in answer] == [(process.pid, 0, "alice")]
    link.close()
    link = traced.link()  # one that comes later, and has been sent nothing
    link.send(Who(0))
    answer = traced.facts(link, lambda got: Process in kinds(got))
    assert [(fact.tgid, fact.slot) for fact in answer if isinstance(fact, Process)] == [(process.pid, 0)]


def test_a_watcher_that_does_not_read_gets_all_later(trace: Callable[..., Traced], players: Any) -> None:
    """More facts than the socket holds wait, and the tracer goes on; nothing is lost or sent twice."""
    traced = trace(Wanted("alice", binary=str(players.copy())))
    link = traced.link()
    for number in range(3000):
        traced.tracer._nodes.blind(f"reason {number}", 0)
    traced.tracer.step(0)
    got = list(iter(link.receive, None))
    before = time.monotonic()
    traced.tracer.step(PATIENCE_S)
    assert time.monotonic() - before < PATIENCE_S / 2, "room in the socket ends the wait"
    rest = 3001 - len(got)
    got += traced.facts(link, lambda got: len(got) == rest)
    assert [fact.reason for fact in got if isinstance(fact, Blind)] == [f"reason {number}" for number in range(3000)]


def test_a_watcher_that_breaks_the_protocol_is_parted_with(trace: Callable[..., Traced], players: Any) -> None:
    """It is told to the operator, the tracer goes on, and another watcher is welcome."""
    traced = trace(Wanted("alice", binary=str(players.copy())))
    link = traced.link()
    link.receive(1)
    link._sock.send(b"nonsense")
    traced.settle()
    with pytest.raises(LinkClosedError):
        link.receive(1)
    link.close()
    assert "no request" in traced.said[-1]
    link = traced.link()
    assert isinstance(link.receive(1), Hello)


def test_a_watcher_that_talks_without_end_keeps_nobody_from_work(trace: Callable[..., Traced], players: Any) -> None:
    """Requests are taken a bounded number at a time, and a node that starts meanwhile is told."""
    path = players.copy()
    traced = trace(Wanted("alice", binary=str(path)))
    link = traced.link()
    link.receive(1)
    players.start(path, *SLOWLY)
    deadline = time.monotonic() + PATIENCE_S
    got: list[Any] = []
    while Process not in kinds(got):
        assert time.monotonic() < deadline
        while link.send(Who(7)):
            pass
        traced.tracer.step(0)
        while (fact := link.receive()) is not None:
            got.append(fact)


def test_a_new_watcher_takes_the_place_of_the_old(trace: Callable[..., Traced], players: Any) -> None:
    """The former link is closed; there is one reader of the ring at a time."""
    traced = trace(Wanted("alice", binary=str(players.copy())))
    old = traced.link()
    old.receive(1)
    new = traced.link()
    with pytest.raises(LinkClosedError):
        old.receive(1)
    assert isinstance(new.receive(1), Hello)


def test_a_watcher_that_is_gone_at_once_does_no_harm(trace: Callable[..., Traced], players: Any) -> None:
    """A link whose other end is closed already is dropped."""
    traced = trace(Wanted("alice", binary=str(players.copy())))
    ours, theirs = pair()
    theirs.close()
    traced.tracer.admit(ours)
    traced.settle()
    assert not traced.tracer.serving


def test_facts_that_were_given_up_are_told(trace: Callable[..., Traced], players: Any) -> None:
    """When nobody listened for too long, the next watcher learns how much it did not."""
    traced = trace(Wanted("alice", binary=str(players.copy())))
    traced.tracer._journal._most = 10
    for _ in range(50):
        traced.tracer._nodes.blind("why", 0)
    traced.tracer._journal._most = 1000
    link = traced.link()
    facts = traced.facts(link, lambda got: any("given up" in getattr(fact, "reason", "") for fact in got))
    kept = len(facts) - 2
    assert f"{50 - kept} facts" in facts[-1].reason
