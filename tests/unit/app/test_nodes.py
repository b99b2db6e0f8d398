"""Finding nodes beside their tracepoints, among real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from peerwatch.app.config import Config, NodeConfig
from peerwatch.app.nodes import (
    GRACE_NS,
    Node,
    Nodes,
    capture_path,
    cookie_path,
    log_path,
    rpc_end,
    running_nodes,
    seen_otherwise,
    wanted,
)
from peerwatch.sources.datadir import node_files
from peerwatch.sources.usdt.discover import Wanted

Start = Callable[..., int]
WAIT = "import time; print(flush=True); time.sleep(60)"


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts processes that are called bitcoind, and ends them. Returns their ids."""
    running: list[subprocess.Popen[bytes]] = []

    def one(*args: str) -> int:
        process = subprocess.Popen(["bitcoind", "-c", WAIT, *args], executable=sys.executable, stdout=subprocess.PIPE)
        running.append(process)
        assert process.stdout
        process.stdout.readline()
        return process.pid

    yield one
    for process in running:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


def ours(nodes: list[Node], *pids: int) -> list[Node]:
    """Those of some processes: others may run on this machine."""
    return [node for node in nodes if node.pid in pids]


def test_wanted_are_those_with_a_process() -> None:
    """A node with a data directory is told by it; one that is only a log or RPC is none of the tracer's business."""
    nodes = [NodeConfig("a", datadir="/srv/a"), NodeConfig("b", log="/srv/b"), NodeConfig("c", args=["-x"])]
    assert wanted(nodes) == [Wanted("a", datadir="/srv/a"), Wanted("c", args=("-x",))]


def test_nodes_of_this_machine_are_found(start: Start, tmp_path: Path) -> None:
    """Without a configuration each process with a node's name is one, with its own name and files; twins have different names."""
    first = start(f"-datadir={tmp_path}", "-regtest")
    second = start(f"-datadir={tmp_path}", "-regtest")
    assert {first, second} <= {facts.pid for facts in running_nodes()}
    nodes = ours(Nodes(Config(), lambda key: f"n-{key[:6]}").find(), first, second)
    assert len({node.name for node in nodes}) == 2
    assert all(node.files == node_files(tmp_path, ["-regtest"]) for node in nodes)
    assert not any(node.traced for node in nodes)


def test_whether_there_is_anything_to_look_at(start: Start, tmp_path: Path) -> None:
    """Named ways are, off or not there is nothing, and a process is if it is one of the nodes that are meant."""
    meant = Config(node=[NodeConfig("a", args=[f"-datadir={tmp_path}"])])
    assert seen_otherwise(Config(node=[NodeConfig("a", log="/x")]))
    assert not seen_otherwise(Config(node=[NodeConfig("a", args=["-no-such"], rpc="off")]))
    assert not seen_otherwise(meant)
    start(f"-datadir={tmp_path}")
    assert seen_otherwise(meant)
    assert seen_otherwise(Config())


def test_the_tracer_names_what_it_traces(start: Start, tmp_path: Path) -> None:
    """A process is waited for until the tracer had time to tell of it; then it has a name of its own."""
    pid = start(f"-datadir={tmp_path}")
    now, told = [0], dict[int, str]()
    nodes = Nodes(Config(), lambda _: "own", told.get, lambda: now[0])
    assert ours(nodes.find(), pid) == []
    told[pid] = "traced"
    (node,) = ours(nodes.find(), pid)
    assert (node.name, node.traced) == ("traced", True)
    told.clear()
    now[0] += GRACE_NS
    (node,) = ours(nodes.find(), pid)
    assert (node.name, node.traced) == ("own", False)


def test_a_configured_node_is_found_by_its_datadir(start: Start, tmp_path: Path) -> None:
    """Arguments of its process count, wherever it runs; while it does not, its files are where they would be."""
    (tmp_path / "link").symlink_to(tmp_path)
    config = Config(node=[NodeConfig("alice", datadir=str(tmp_path / "link"))])
    (away,) = Nodes(config, str).find()
    assert away.files == node_files(tmp_path / "link")
    assert away.pid is None
    pid = start(f"-datadir={tmp_path}", "-chain=signet", "-rpcport=5")
    (node,) = Nodes(config, str).find()
    assert node.files is not None
    assert (node.name, node.pid, node.files.chain, rpc_end(node)) == ("alice", pid, "signet", ("127.0.0.1", 5))


def test_a_configured_node_is_found_by_its_port(start: Start, tmp_path: Path) -> None:
    """With nothing but an RPC port, the process that answers there is the node, and its cookie is known."""
    pid = start(f"-datadir={tmp_path}", "-regtest", "-rpcport=45454")
    (node,) = Nodes(Config(node=[NodeConfig("a", rpc="45454")]), str).find()
    assert (node.pid, cookie_path(node)) == (pid, tmp_path / "regtest/.cookie")
    (other,) = Nodes(Config(node=[NodeConfig("a", rpc="18443")]), str).find()
    assert (other.pid, cookie_path(other)) == (None, Path.home() / ".bitcoin/regtest/.cookie")
    assert rpc_end(other) == ("127.0.0.1", 18443)


def test_what_is_given_counts_more_than_what_is_found(tmp_path: Path) -> None:
    """Paths and ends of the configuration take the place of the usual ones, and `off` of any."""
    files = node_files(tmp_path)
    found = Node("a", NodeConfig("a", datadir=str(tmp_path)), files, None, traced=False)
    assert (rpc_end(found), log_path(found), cookie_path(found)) == (files.rpc, files.log, files.cookie)
    given = NodeConfig("a", rpc="[::1]:9", log="/l", cookie="/c", capture="/m")
    named = Node("a", given, files, None, traced=True)
    assert (rpc_end(named), log_path(named), cookie_path(named), capture_path(named)) == (
        ("::1", 9),
        Path("/l"),
        Path("/c"),
        Path("/m"),
    )
    off = Node("a", NodeConfig("a", rpc="off", log="off", capture="off"), files, None, traced=False)
    assert (rpc_end(off), log_path(off), capture_path(off)) == (None, None, None)
    nothing = Node("a", NodeConfig("a", log="/l"), None, None, traced=False)
    assert (rpc_end(nothing), cookie_path(nothing), capture_path(nothing)) == (None, None, None)


def test_a_capture_is_followed_unless_messages_are_traced_anyway(tmp_path: Path) -> None:
    """Messages are not to be counted twice."""
    files = node_files(tmp_path)
    node = Node("a", NodeConfig("a"), files, None, traced=False)
    assert capture_path(node) is None
    files.capture.mkdir()
    assert capture_path(node) == files.capture
    assert capture_path(Node("a", NodeConfig("a"), files, None, traced=True)) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
def test_a_user_without_rights_finds_the_same(start: Start, tmp_path: Path) -> None:
    """Another user's process is found by its command line, which is open to all."""
    pid = start(f"-datadir={tmp_path}", "-regtest")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgid(65534)
            os.setuid(65534)
            found = [facts.args[-1] for facts in running_nodes() if facts.pid == pid]
            os.write(writer, " ".join(found).encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    assert os.read(reader, 100) == b"-regtest"
    os.close(reader)
