"""Which processes are nodes, with real processes of the tracepoint player."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from peerwatch.sources.usdt import discover
from peerwatch.sources.usdt.discover import Probed, Scanner, Wanted, chain_of, described, node_key, usual_binaries
from peerwatch.sources.usdt.processes import ProcessFacts, file_id, read_process


def facts(*args: str, **changes: Any) -> ProcessFacts:
    """A process called with these arguments."""
    plain = ProcessFacts(1, 1000, ("bitcoind", *args), "/usr/bin/bitcoind", True, None, 5, 7)
    return replace(plain, **changes)


def test_a_player_is_found_and_told_from_another_by_its_name(player: Any) -> None:
    """A second process of the same binary that is not described is not found."""
    first, second = player("--name", "x"), player("--name=y")
    by_words = Scanner([Wanted("alice", binary=player.path, args=("--name=x",))]).scan()
    by_text = Scanner([Wanted("bob", args=("--name=y",), binary=player.path)]).scan()
    assert [found.facts.pid for found in by_words] == [first]
    assert [found.facts.pid for found in by_text] == [second]
    assert by_words[0].path == player.path


def test_without_configuration_every_process_with_probes_is_found(player: Any) -> None:
    """Two players of one binary are both found, and no process without probes."""
    pids = {player("--name", "x"), player("--name", "y")}
    found = Scanner([]).scan()
    assert {node.facts.pid for node in found if node.facts.binary == player.path} == pids
    assert os.getpid() not in {node.facts.pid for node in found}


def test_a_scan_tells_only_what_is_new(player: Any) -> None:
    """A process is told once, and again when asked for."""
    scanner = Scanner([Wanted("alice", binary=player.path)])
    assert scanner.scan() == []
    pid = player()
    assert [node.facts.pid for node in scanner.scan()] == [pid]
    assert scanner.scan() == []
    scanner.again()
    assert [node.facts.pid for node in scanner.scan()] == [pid]


def test_a_shell_that_becomes_a_node_is_found(player: Any) -> None:
    """A process that was seen as something else is looked at again when its command line changes."""
    scanner = Scanner([Wanted("alice", args=("--name=late",))])
    command = f"read _; exec {player.path} --load forever --rate 10 --name late"
    shell = subprocess.Popen(["/bin/sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    player.running.append(shell)
    assert scanner.scan() == []
    assert shell.stdin is not None
    shell.stdin.close()
    deadline = time.monotonic() + 10
    found = []
    while not found and time.monotonic() < deadline:
        time.sleep(0.01)
        found = scanner.scan()
    assert [node.facts.pid for node in found] == [shell.pid]


def test_a_pid_file_that_comes_later_is_noticed(player: Any, tmp_path: Path) -> None:
    """A node writes its process id after it was seen."""
    file = tmp_path / "node.pid"
    scanner = Scanner([Wanted("alice", pid_file=str(file))])
    pid = player()
    assert scanner.scan() == []
    file.write_text(f"{pid}\n")
    assert [node.facts.pid for node in scanner.scan()] == [pid]


def test_a_described_process_without_probes_is_no_node(player: Any) -> None:
    """A rule such as the user fits many processes; only one with probes is a node."""
    pid = player()
    found = [node.facts.pid for node in Scanner([Wanted("alice", user=str(os.geteuid()))]).scan()]
    assert pid in found
    assert os.getpid() not in found


@pytest.mark.parametrize(
    ("rules", "fits"),
    [
        ({"pid": 1}, True),
        ({"pid": 2}, False),
        ({"user": "1000"}, True),
        ({"user": "root"}, False),
        ({"user": "no-such-user"}, False),
        ({"args": ("-datadir=/a",)}, True),
        ({"args": ("-datadir=/a", "--name=x")}, True),
        ({"args": ("--name", "x")}, True),
        ({"args": ("--name=y",)}, False),
        ({"args": ("bitcoind",)}, False),
        ({"binary": "/usr/bin/bitcoind"}, True),
        ({"binary": "/usr/bin/../bin/bitcoind"}, True),
        ({"binary": "/opt/bitcoind"}, False),
        ({"pid_file": "/nowhere/bitcoind.pid"}, False),
        ({"binary": "/usr/bin/bitcoind", "pid": 1, "user": "1000", "args": ("--name=x",)}, True),
        ({"binary": "/usr/bin/bitcoind", "pid": 1, "user": "1001", "args": ("--name=x",)}, False),
    ],
)
def test_every_rule_must_be_met(rules: dict[str, Any], fits: bool) -> None:  # noqa: FBT001 - a table
    """A process is a node when all of its rules fit."""
    assert Wanted("alice", **rules).matches(facts("-datadir=/a", "--name", "x")) is fits


def test_the_closest_description_wins() -> None:
    """A process that fits several nodes is the one that is described best, and among equals the first."""
    vague, close, other = Wanted("a", binary="/usr/bin/bitcoind"), Wanted("b", args=("-x", "-y")), Wanted("c", args=("-x", "-z"))
    again = Wanted("d", args=("-y", "-x"))
    assert described([vague, close, other, again], facts("-x", "-y")) is close
    assert described([vague, close], facts("-x")) is vague
    assert described([close], facts()) is None


def test_an_executable_that_is_closed_to_us_is_matched_by_name() -> None:
    """When nothing tells the executable, the name it was called by has to do."""
    hidden = facts(binary=None, certain=False)
    assert Wanted("alice", binary="/opt/bitcoind").matches(hidden)
    assert not Wanted("alice", binary="/opt/bitcoin-qt").matches(hidden)


def test_the_same_file_at_another_path_matches(tmp_path: Path) -> None:
    """A hard link, or the way into a container, is the same executable."""
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    there = facts(binary=str(tmp_path / "b"), file=file_id(tmp_path / "b"))
    assert Wanted("alice", binary=str(tmp_path / "a")).matches(there)


def test_a_pid_file_is_read_with_a_bound(tmp_path: Path) -> None:
    """A number fits; anything else, however long, does not."""
    file = tmp_path / "pid"
    file.write_text("1\n")
    assert Wanted("alice", pid_file=str(file)).matches(facts())
    file.write_text("1" * 1_000_000)
    assert not Wanted("alice", pid_file=str(file)).matches(facts())


def test_a_node_without_rules_is_refused() -> None:
    """It would be every process."""
    with pytest.raises(ValueError, match="how to find it"):
        Wanted("alice")


def test_the_key_is_the_same_after_a_restart_and_another_for_another_instance() -> None:
    """Only what tells instances apart counts: not the process, not the order, not debug options, never an address."""
    one = node_key(facts("-datadir=/a", "-regtest", "-debug=net", "-bind=192.0.2.1"))
    again = facts("-regtest", "--datadir=/a", "-bind=192.0.2.2", pid=99, ticks=9, started_ns=9)
    assert node_key(again) == one
    others = [
        node_key(facts("-datadir=/b", "-regtest")),
        node_key(facts("-datadir=/a")),
        node_key(facts("-datadir=/a", "-regtest", uid=1001)),
        node_key(facts("-datadir=/a", "-regtest", binary="/opt/bitcoind")),
        node_key(again, 1),
        node_key(facts("--name", "x")),
        node_key(facts("--name", "y")),
    ]
    assert len({one, *others}) == len(others) + 1
    assert node_key(facts("--name", "x")) == node_key(facts("--name=x"))


@pytest.mark.parametrize(
    ("args", "chain"),
    [
        (("-regtest",), "regtest"),
        (("-regtest=0",), None),
        (("-testnet",), "test"),
        (("-chain=main",), "main"),
        (("-chain=test",), "test"),
        (("-testnet4=1",), "testnet4"),
        (("--signet",), "signet"),
        (("-chain=\x1b[2J",), None),
        ((), None),
    ],
)
def test_the_chain_is_told_where_the_arguments_do(args: tuple[str, ...], chain: str | None) -> None:
    """Core's options for the chain, and nothing that is no chain."""
    assert chain_of(facts(*args).args) == chain


def test_files_without_probes_are_no_nodes(player: Any, tmp_path: Path) -> None:
    """A program without them, a text, a folder, and nothing at all."""
    probed = Probed()
    (tmp_path / "text").write_text("net inbound_message")
    assert probed(player.path)
    assert [probed(str(path)) for path in ("/bin/ls", tmp_path / "text", tmp_path, tmp_path / "none")] == [False] * 4


def test_files_are_remembered_up_to_a_bound(player: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that runs ever new programs does not fill the memory."""
    monkeypatch.setattr(discover, "MAX_FILES", 3)
    probed = Probed()
    for number in range(10):
        path = tmp_path / str(number)
        path.write_bytes(b"x")
        assert not probed(str(path))
    assert len(probed._known) <= 3
    assert probed(player.path)


def test_installed_binaries_are_known_before_they_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Core's executables on PATH, and those that v30 keeps in libexec."""
    for place in ("bin/bitcoin", "bin/bitcoind", "libexec/bitcoin-node"):
        path = tmp_path / place
        path.parent.mkdir(exist_ok=True)
        shutil.copy2("/bin/true", path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert usual_binaries() == [str(tmp_path / "bin/bitcoind"), str(tmp_path / "libexec/bitcoin-node")]


def test_own_facts_are_no_special_case() -> None:
    """The scanner reads a process as `read_process` does."""
    own = read_process(os.getpid())
    assert own is not None
    assert Wanted("me", pid=os.getpid()).matches(own)
