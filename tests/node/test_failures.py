"""The node goes away and comes back, and its disk is full: the sources say so, and see again by themselves."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from peerwatch.schema.batch import SECOND
from tests.node.coins import mine
from tests.node.counts import captured
from tests.node.harness import Node, Program, at_rest
from tests.node.peer import Peer
from tests.node.stage import capture, log, process, rpc
from tests.node.traffic import inbound
from tests.node.watching import Watching, message_sums, opened

pytestmark = pytest.mark.node

DISK_BYTES = 160 << 20
"""A node wants 50 MB free to start."""


def test_stop_crash_and_reindex(program: Program, folder: Path) -> None:
    """After each way of going away every source says so and sees the next process, under its own cookie, with every message."""
    node = Node(program, folder / "a")
    with node, Watching(process(node), rpc(node), log(node)) as watching:
        watching.read()
        with inbound(node):
            watching.sources.append(capture(node))
        cookies, pids = [node.cookie()], [node.pid]
        for end, *arguments in ((node.stop,), (node.kill,), (lambda: node.kill(signal.SIGTERM), "-reindex")):
            see_everything(watching, node)
            end()
            for source in ("process", "rpc"):
                watching.until(lambda s=source: len(watching.of("loss", s, kind="blind")) == len(pids), f"{source} is blind")
            node.start(*arguments)
            cookies.append(node.cookie())
            pids.append(node.pid)
        see_everything(watching, node)
        assert len(set(cookies)) == len(set(pids)) == 4
        for source in ("process", "rpc"):
            assert [row["kind"] for row in watching.of("loss", source)] == ["blind", "gap"] * 3
        assert watching.of("loss", "capture") == watching.of("loss", "debuglog") == watching.told == []
        for table, sessions in (("process_state", 4), ("peer_state", 4), ("log_event", 4)):
            assert len({row["session"] for row in watching.of(table)}) == sessions, table
        assert not [row for row in watching.of("loss") if any(cookie.split(":")[1] in row["reason"] for cookie in cookies)]
        assert watching.gaps() == []


def see_everything(watching: Watching, node: Node) -> None:
    """What happens now is seen by every source."""
    with inbound(node) as peer:
        peer.settle()
        watching.until(lambda: watching.of("peer_state", address=peer.name), "the peer by RPC")
        (number,) = node.peers()
        watching.until(lambda: watching.of("log_event", event="peer_connected", peer=number), "the peer in the log")
    watching.until(lambda: watching.of("process_state", pid=node.pid), "figures of the process")
    at_rest(lambda: watching.read() or capture_is_whole(watching, node))


def capture_is_whole(watching: Watching, node: Node) -> None:
    """What is on disk was delivered."""
    assert message_sums(watching, "capture", opened(watching, "capture")) == captured(node)


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk with little room, and nothing on it."""
    disk = folder / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=755", "tmpfs", str(disk)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """A file that takes all room to the last byte."""
    path = disk / "filling"
    with path.open("ab", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))
    return path


def test_full_disk_under_the_node(program: Program, small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing raises while the node can write nothing; that there is no room is seen, and so is what comes afterwards."""
    monkeypatch.setattr("peerwatch.sources.process.look.EVERY_NS", SECOND)
    with (
        Node(program, small_disk / "a") as node,
        inbound(node) as staying,
        Watching(process(node), rpc(node), log(node), capture(node)) as watching,
    ):
        mine(node)
        watching.until(lambda: watching.of("process_state"), "figures")
        filling = fill(small_disk)
        until_silent(staying)
        watching.until(lambda: watching.of("process_state", disk_free=0), "that there is no room")
        filling.unlink()
        watching.until(lambda: watching.of("process_state")[-1]["disk_free"], "that there is room again")
        staying.close()  # of what it said, a record is torn
        with inbound(node) as peer:
            peer.settle()
            watching.until(lambda: watching.of("peer_state", address=peer.name), "the peer by RPC")
            (number,) = node.peers()
            watching.until(lambda: watching.of("log_event", event="peer_connected", peer=number), "the peer in the log")

        def whole() -> None:
            watching.read()
            seen = message_sums(watching, "capture", opened(watching, "capture"))
            assert {key[1:]: n for key, (n, _) in seen.items() if key[0] == peer.name} == dict(peer.messages)

        at_rest(whole)
        assert watching.of("loss", kind="blind") == []


def until_silent(peer: Peer, most: int = 400) -> None:
    """Ping until the node cannot capture its answer any more, and so gives none; it stays up."""
    peer.sock.settimeout(1.0)
    for _ in range(most):
        peer.send("ping", bytes(8))
        try:
            peer.receive()
        except TimeoutError:
            return
    pytest.fail("the node went on as if it had room")
