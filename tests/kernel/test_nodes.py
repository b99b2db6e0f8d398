"""Whose records are whose, followed through starts, restarts and ends of real processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from peerwatch.sources.usdt import nodes as module
from peerwatch.sources.usdt.discover import Wanted
from peerwatch.sources.usdt.journal import Journal
from peerwatch.sources.usdt.kernel import Kernel
from peerwatch.sources.usdt.link import Blind, Exited, Fact, Process
from peerwatch.sources.usdt.nodes import Nodes
from peerwatch.sources.usdt.poller import Poller
from peerwatch.sources.usdt.slots import Slots

pytestmark = pytest.mark.kernel

PATIENCE_S = 60.0
"""Emulated machines are slow."""
TICK_S = 0.01
"""Starts of processes are known to the tick; one that starts in the tick of the attaching counts as having run before."""
SLOWLY = ("--load", "forever", "--rate", "100")


class Watched:
    """Nodes under test, and what they have written down."""

    def __init__(self, kernel: Kernel, *wanted: Wanted) -> None:
        """Attach and look once."""
        self.kernel = kernel
        self.journal = Journal()
        self.poller = Poller()
        self.said: list[str] = []
        self.nodes = Nodes(kernel, wanted, self.journal, self.poller, self.said.append)
        self.nodes.start()
        self.due = 0.0

    @property
    def facts(self) -> list[Fact]:
        """All so far."""
        return self.journal.after(0)

    def of(self, kind: type[Any]) -> list[Any]:
        """Those of a kind."""
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def fired(self) -> list[Process]:
        """Processes that have a slot."""
        return [fact for fact in self.of(Process) if fact.slot is not None]

    def step(self) -> None:
        """What the tracer does, with shorter seconds."""
        self.poller.wait(0.01)
        self.nodes.look_at_slots()
        if time.monotonic() > self.due:
            self.due = time.monotonic() + 0.1
            self.nodes.each_second()

    def until(self, condition: Callable[[], Any]) -> Any:
        """Go on until a condition is true, and give what it is."""
        deadline = time.monotonic() + PATIENCE_S
        while not (result := condition()):
            assert time.monotonic() < deadline, (self.facts, self.said)
            self.step()
        return result


@pytest.fixture
def watch(load: Callable[..., Kernel]) -> Iterator[Callable[..., Watched]]:
    """Follows the nodes described, or all."""
    started: list[Watched] = []

    def begin(*wanted: Wanted) -> Watched:
        started.append(Watched(load(4 << 20), *wanted))
        return started[-1]

    yield begin
    for watched in started:
        watched.nodes.close()


def idle(players: Any, path: Path, *arguments: str) -> int:
    """A player that waits for something to play; its process id."""
    process = subprocess.Popen([path, "-", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    players.running.append(process)
    while not Path(f"/proc/{process.pid}/cmdline").read_bytes().startswith(os.fsencode(path)):
        time.sleep(0.001)
    return process.pid


def alice(path: Path) -> Wanted:
    return Wanted("alice", binary=str(path), args=("--name=alice",))


def test_a_node_is_followed_from_start_to_end(watch: Callable[..., Watched], players: Any) -> None:
    """A node that starts after its binary was attached is told with its first hit and with its end."""
    path = players.copy()
    watched = watch(alice(path))
    before = time.time_ns()
    time.sleep(2 * TICK_S)
    process = players.start(path, *SLOWLY, "--name", "alice")
    fact = watched.until(watched.fired)[-1]
    process.terminate()
    end = watched.until(lambda: watched.of(Exited))[0]
    assert (fact.tgid, fact.slot, fact.ours, fact.node, fact.event) == (process.pid, 0, True, "alice", "started")
    assert (fact.binary, fact.chain, fact.gap, fact.missing) == (str(path), None, None, {})
    assert len(fact.attached) == 16
    assert before <= fact.session == fact.started <= time.time_ns()
    first_hit = int(Slots(watched.kernel.fds["slots"]).live["first_ns"][0]) + time.time_ns() - time.monotonic_ns()
    assert fact.session < first_hit
    assert (end.tgid, end.slot, end.node, end.session) == (process.pid, 0, "alice", fact.session)
    assert first_hit < end.ts <= time.time_ns()
    assert watched.of(Blind) == []
    assert watched.kernel.slot_of(process.pid) is None


def test_a_node_that_ran_before_is_found_without_firing(watch: Callable[..., Watched], players: Any) -> None:
    """It is told at once, and once more with its slot when it fires; both speak of the same session, from the attaching on."""
    path = players.copy()
    process = players.start(path, *SLOWLY, "--name", "alice")
    other = players.start(path, *SLOWLY, "--name", "bob")
    time.sleep(0.2)
    began = time.time_ns()
    watched = watch(alice(path))
    first = watched.of(Process)[0]
    assert (first.tgid, first.slot, first.event, first.node) == (process.pid, None, "found", "alice")
    assert first.started < began <= first.session <= time.time_ns()
    second = watched.until(lambda: [fact for fact in watched.fired() if fact.ours])[0]
    assert (second.tgid, second.session, second.event) == (first.tgid, first.session, "found")
    assert second.number > first.number
    assert watched.until(lambda: [fact for fact in watched.of(Process) if not fact.ours])[0].tgid == other.pid


def test_a_restarted_node_is_told_with_its_gap(watch: Callable[..., Watched], players: Any) -> None:
    """Killed and started again: another session and slot, and the time in between, to the first hit."""
    path = players.copy()
    watched = watch(alice(path))
    first = players.start(path, *SLOWLY, "--name", "alice")
    watched.until(watched.fired)
    first.kill()
    end = watched.until(lambda: watched.of(Exited))[0]
    time.sleep(2 * TICK_S)
    players.start(path, *SLOWLY, "--name", "alice")
    again = watched.until(lambda: watched.fired()[1:])[0]
    hit = int(Slots(watched.kernel.fds["slots"]).live["first_ns"][again.slot]) + time.time_ns() - time.monotonic_ns()
    assert (again.key, again.node, again.event) == (end.key, "alice", "started")
    assert again.gap[0] == end.ts
    assert abs(again.gap[1] - hit) < 200_000_000  # two measurements of the clocks, on an emulated machine too
    assert again.session > end.session
    assert again.slot != end.slot


def test_a_restart_between_two_looks_is_told_in_order(watch: Callable[..., Watched], players: Any) -> None:
    """Several lives within one interval: every end is before the next start, none is missing, and every slot is told."""
    path = players.copy()
    watched = watch(alice(path))
    for _ in range(3):
        players.run(path, "--load", "5", "--name", "alice")
    watched.until(lambda: len(watched.journal.after(0)) >= 3)
    watched.step()
    told = {fact.slot for fact in watched.of(Process)}
    assert told == {0, 1, 2}
    # Gone before anybody could look: not told from others, and so nobody's.
    assert all("gone before" in fact.reason for fact in watched.of(Process) if not fact.ours)
    assert len(watched.of(Blind)) == len([fact for fact in watched.of(Process) if not fact.ours])


def wait_for_slot(watched: Watched, slot: int) -> None:
    slots = Slots(watched.kernel.fds["slots"])
    deadline = time.monotonic() + PATIENCE_S
    while not slots.live["tgid"][slot]:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_node_that_fires_and_goes_between_two_looks_is_told_whole(watch: Callable[..., Watched], players: Any) -> None:
    """It was known before it fired: its slot is told before its end."""
    path = players.copy()
    process = players.start(path, *SLOWLY, "--name", "alice")
    time.sleep(0.2)
    watched = watch(alice(path))
    wait_for_slot(watched, 0)
    process.kill()
    watched.poller.wait(PATIENCE_S)
    assert [(type(fact), fact.slot) for fact in watched.facts] == [(Process, None), (Process, 0), (Exited, 0)]


def test_a_restart_that_is_seen_first_by_its_slot(watch: Callable[..., Watched], players: Any) -> None:
    """The new process has fired before the end of the old one was noticed: the end is told first, and the node goes on."""
    path = players.copy()
    watched = watch(alice(path))
    first = players.start(path, *SLOWLY, "--name", "alice")
    watched.until(watched.fired)
    first.kill()
    first.wait()
    second = players.start(path, *SLOWLY, "--name", "alice")
    wait_for_slot(watched, 1)
    watched.nodes.look_at_slots()
    assert [(type(fact), fact.tgid) for fact in watched.facts[-2:]] == [(Exited, first.pid), (Process, second.pid)]
    assert watched.fired()[-1].ours


def test_one_that_waited_becomes_the_node_when_it_can(watch: Callable[..., Watched], players: Any) -> None:
    """A second process of the same description is looked at again when the first has ended."""
    path = players.copy()
    watched = watch(alice(path))
    first = players.start(path, *SLOWLY, "--name", "alice")
    watched.until(watched.fired)
    waiting = idle(players, path, "--name", "alice")
    for _ in range(3):
        watched.due = 0
        watched.step()
    assert {fact.tgid for fact in watched.of(Process)} == {first.pid}
    first.kill()
    watched.until(lambda: [fact for fact in watched.of(Process) if fact.tgid == waiting and fact.ours])


def test_a_player_that_restarts_itself_keeps_its_name(watch: Callable[..., Watched], players: Any, tmp_path: Path) -> None:
    """The successor waits, as a copy of its parent, until that is gone; it is neither a second node nor ignored."""
    path = players.copy()
    pid_file = tmp_path / "pid"
    watched = watch(alice(path))
    process = players.start(path, *SLOWLY, "--name", "alice", "--pid-file", str(pid_file))
    watched.until(watched.fired)
    process.send_signal(signal.SIGHUP)
    try:
        again = watched.until(lambda: watched.fired()[1:])[0]
        assert (again.ours, again.node, again.key) == (True, "alice", watched.fired()[0].key)
        assert again.tgid != process.pid
        assert again.gap is not None
        assert [fact.tgid for fact in watched.of(Exited)] == [process.pid]
    finally:
        os.kill(int(pid_file.read_text()), signal.SIGKILL)


def test_another_process_of_the_binary_is_ignored(watch: Callable[..., Watched], players: Any) -> None:
    """It is told as not ours, fires no further record, and when it is gone its number is free."""
    path = players.copy()
    watched = watch(alice(path))
    process = players.start(path, *SLOWLY, "--name", "mallory")
    fact = watched.until(lambda: watched.of(Process))[0]
    assert (fact.ours, fact.key, fact.node, fact.slot) == (False, "", None, 0)
    assert "described" in fact.reason
    slots = Slots(watched.kernel.fds["slots"])
    time.sleep(0.1)
    seen = int(slots.live["seen"][0])
    time.sleep(0.3)
    assert int(slots.live["seen"][0]) == seen
    process.kill()
    process.wait()
    watched.until(lambda: not watched.nodes._tracked)
    assert watched.of(Exited) == []
    assert watched.of(Blind) == []


def test_two_processes_that_fit_one_description_are_not_mixed(watch: Callable[..., Watched], players: Any) -> None:
    """The first keeps the name; the second is told as blind, with what to do."""
    path = players.copy()
    watched = watch(alice(path))
    first = players.start(path, *SLOWLY, "--name", "alice")
    watched.until(watched.fired)
    second = players.start(path, *SLOWLY, "--name", "alice")
    fact = watched.until(lambda: watched.fired()[1:])[0]
    assert (fact.tgid, fact.ours, fact.node) == (second.pid, False, None)
    blind = watched.of(Blind)[0]
    assert blind.node == "alice"
    assert f"process {first.pid} is node alice already" in blind.reason


def test_one_that_fires_takes_over_from_a_parent_that_never_did(watch: Callable[..., Watched], players: Any) -> None:
    """As when a node goes into the background: the first process of that description is not the one that works."""
    path = players.copy()
    parent = idle(players, path, "--name", "alice")
    watched = watch(alice(path))
    assert watched.of(Process)[0].tgid == parent
    child = players.start(path, *SLOWLY, "--name", "alice")
    fact = watched.until(watched.fired)[0]
    assert (fact.tgid, fact.ours, fact.gap) == (child.pid, True, None)
    assert [end.tgid for end in watched.of(Exited)] == [parent]
    assert watched.of(Blind) == []


def test_without_configuration_all_are_nodes_even_alike(watch: Callable[..., Watched], players: Any) -> None:
    """Every process with probes has a key of its own that survives a restart; twins are told apart by number."""
    path = players.copy()
    first = players.start(path, *SLOWLY, "--name", "one")
    second = players.start(path, *SLOWLY, "--name", "two")
    twin = players.start(path, *SLOWLY, "--name", "two")
    time.sleep(0.2)
    watched = watch()

    def keys() -> dict[int, str]:
        pids = {first.pid, second.pid, twin.pid}
        return {fact.tgid: fact.key for fact in watched.fired() if fact.tgid in pids and fact.ours}

    before = watched.until(lambda: keys() if len(keys()) == 3 else None)
    assert len(set(before.values())) == 3
    first.kill()
    first.wait()
    again = players.start(path, *SLOWLY, "--name", "one")
    fact = watched.until(lambda: [fact for fact in watched.fired() if fact.tgid == again.pid])[0]
    assert (fact.ours, fact.node, fact.key) == (True, None, before[first.pid])
    assert fact.gap is not None
    assert fact.event == "started"


def test_a_process_that_becomes_the_node_is_one_from_then_on(watch: Callable[..., Watched], players: Any) -> None:
    """A process that was ignored runs the node's command in its place: the same number, another session and slot."""
    path = players.copy()
    watched = watch(alice(path))
    command = f"{path} --load 20 --rate 100 --name mallory; exec {path} --load forever --rate 100 --name alice"
    players.running.append(subprocess.Popen(["/bin/sh", "-c", command], stdout=subprocess.PIPE, text=True))
    fact = watched.until(lambda: [fact for fact in watched.fired() if fact.ours])[0]
    assert (fact.node, fact.tgid) == ("alice", players.running[0].pid)


def test_a_changed_binary_is_blind_where_it_is_not_understood(watch: Callable[..., Watched], players: Any) -> None:
    """Probes whose arguments are not the declared ones are not attached, and each is told with its reason."""
    path = players.copy("player-changed")
    watched = watch(alice(path))
    players.start(path, *SLOWLY, "--name", "alice")
    fact = watched.until(lambda: watched.of(Process))[0]
    blind = {entry.probe: entry for entry in watched.of(Blind)}
    assert set(blind) == set(fact.missing) == {"net:inbound_message", "net:closed_connection"}
    assert "4 bytes instead of 8" in blind["net:inbound_message"].reason
    assert {(entry.node, entry.key, entry.first) for entry in blind.values()} == {("alice", fact.key, fact.session)}
    assert len(fact.attached) == 14


def test_an_upgraded_node_is_seen_whole(watch: Callable[..., Watched], players: Any) -> None:
    """Its binary is replaced while it runs, and it is restarted at once: the new file is attached before the new process runs."""
    path = players.copy()
    watched = watch(alice(path))
    watched.due = float("inf")  # nothing that is done every second helps
    first = players.start(path, *SLOWLY, "--name", "alice")
    watched.until(watched.fired)
    path.unlink()
    players.copy("player-older")
    first.kill()
    watched.until(lambda: watched.of(Exited))
    time.sleep(2 * TICK_S)
    second = players.start(path, *SLOWLY, "--name", "alice")
    fact = watched.until(lambda: watched.fired()[1:])[0]
    assert (fact.tgid, fact.event, bool(fact.missing), fact.binary) == (second.pid, "started", True, str(path))


def test_a_binary_without_probes_is_a_clear_error(watch: Callable[..., Watched], players: Any) -> None:
    """It is said and written down once for the node that is described by it, with what to do."""
    path = players.copy("player-noprobes")
    watched = watch(alice(path))
    blind = watched.of(Blind)
    assert [(fact.node, fact.probe) for fact in blind] == [("alice", None)]
    assert "no tracepoints" in blind[0].reason
    assert "WITH_USDT=ON" in watched.said[0]


def test_slots_that_run_out_are_told(watch: Callable[..., Watched], players: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the last slot is taken the source as a whole is blind for what comes, and says so once."""
    watched = watch(alice(players.copy()))
    live = watched.nodes._slots.live.copy()
    live["first_ns"][-1] = 1
    monkeypatch.setattr(watched.nodes._slots, "live", live)
    watched.step()
    watched.step()
    assert [(fact.key, "8192 processes" in fact.reason) for fact in watched.of(Blind)] == [(None, True)]


def test_the_end_is_noticed_without_process_descriptors(
    watch: Callable[..., Watched], players: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where pidfd_open is not allowed, /proc is asked every second."""

    def refuse(_pid: int) -> int:
        raise PermissionError

    monkeypatch.setattr(module.os, "pidfd_open", refuse)
    path = players.copy()
    watched = watch(alice(path))
    process = players.start(path, *SLOWLY, "--name", "alice")
    watched.until(watched.fired)
    process.kill()
    process.wait()
    assert watched.until(lambda: watched.of(Exited))[0].tgid == process.pid


def test_a_node_of_another_user_is_told_by_configuration(watch: Callable[..., Watched], players: Any) -> None:
    """The user is one of the rules: the same command of somebody else is not the node."""
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to other users
        Path(folder).chmod(0o755)
        path = Path(shutil.copy2(players.copy(), folder))
        watched = watch(Wanted("alice", binary=str(path), user="30140"))
        other = players.start(path, *SLOWLY, user=30141)
        fact = watched.until(watched.fired)[0]
        assert (fact.tgid, fact.ours) == (other.pid, False)
        own = players.start(path, *SLOWLY, user=30140)
        fact = watched.until(lambda: watched.fired()[1:])[0]
        assert (fact.tgid, fact.ours, fact.node) == (own.pid, True, "alice")
