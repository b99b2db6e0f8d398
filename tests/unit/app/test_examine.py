"""What doctor says of nodes beside their tracepoints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from peerwatch.app.config import Config, NodeConfig
from peerwatch.app.examine import examine, watchers
from peerwatch.sources.rpc.registry import methods
from peerwatch.sources.usdt.diagnose import Fact, State
from peerwatch.sources.usdt.privileges import Account
from tests.unit.sources.rpc.server import FakeNode, error

NOBODY = Account("nobody", 65534, 65534, (65534,))


def facts_of(node: NodeConfig, account: Account | None = None) -> dict[str, Fact]:
    return {fact.name: fact for fact in examine(Config(node=[node]), account)}


def test_a_node_that_is_not_there(tmp_path: Path) -> None:
    """Each way says what is missing, and none of it is a failure of tracing."""
    facts = facts_of(NodeConfig("a", datadir=str(tmp_path), rpc="9"))
    assert {name: fact.state for name, fact in facts.items()} == {
        "a, rpc": State.WARNING,
        "a, log": State.WARNING,
        "a, capture": State.OK,
    }
    assert facts["a, rpc"].found == "no answer"
    assert facts["a, rpc"].advice
    assert "no such file" in facts["a, log"].found


def test_what_asking_costs_is_said(tmp_path: Path) -> None:
    """Every call is made once; their time is told for a minute, and so is what the node does not allow."""
    server = FakeNode(tmp_path)
    try:
        server.answers |= {method.method: {} for method in methods() if method.method != "uptime"}
        config = NodeConfig("a", rpc=str(server.port), cookie=str(server.cookie))
        fact = facts_of(config)["a, rpc"]
        assert fact.state is State.OK
        assert re.fullmatch(rf"{len(methods())} methods answered, [0-9]+ ms of the node's time a minute", fact.found)
        server.answers["getrawaddrman"] = error(-32601)
        assert facts_of(config)["a, rpc"].found.endswith("; not getrawaddrman")
    finally:
        server.stop()


def test_what_is_off_is_said() -> None:
    """Nothing is looked at, and that is fine."""
    facts = facts_of(NodeConfig("a", args=["-no-such-node"], rpc="off", log="off", capture="off"))
    assert [(fact.state, fact.found) for fact in facts.values()] == [
        (State.OK, "not asked"),
        (State.OK, "not read"),
        (State.OK, "none"),
    ]


def test_logs_with_and_without_what_is_said(tmp_path: Path) -> None:
    """A log of category net is as it should be; one without is worth a word."""
    log = tmp_path / "debug.log"
    log.write_text("2026-01-01T00:00:00Z [net] received: ping (8 bytes) peer=1\n")
    node = NodeConfig("a", log=str(log))
    fact = facts_of(node)["a, log"]
    assert fact.state is State.OK
    assert re.search(r"; [0-9,]+ lines a second can be read$", fact.found)
    log.write_text("2026-01-01T00:00:00Z UpdateTip\n")
    assert "-debug=net" in facts_of(node)["a, log"].advice


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
def test_it_is_found_out_as_the_watchers_user(tmp_path: Path) -> None:
    """What root can read is closed to the watcher, and that is what counts."""
    log = tmp_path / "debug.log"
    log.write_text("received: ping\n")
    log.chmod(0o600)
    node = NodeConfig("a", log=str(log))
    assert facts_of(node)["a, log"].state is State.OK
    closed = facts_of(node, NOBODY)["a, log"]
    assert (closed.state, closed.found) == (State.WARNING, "cannot be read: permission denied")


def test_what_watchers_take_is_said() -> None:
    """A process that is called like one is found, with its share of a processor."""
    with subprocess.Popen(["/x/peerwatch", "-c", "import time; time.sleep(60)", "run"], executable=sys.executable) as process:
        try:
            found = []
            until = time.monotonic() + 10
            while not found and time.monotonic() < until:
                found = [fact for fact in watchers() if fact.name.endswith(f" {process.pid}")]
        finally:
            process.kill()
    assert re.fullmatch(r"[0-9]+\.[0-9] % of a processor since it was started", found[0].found)
