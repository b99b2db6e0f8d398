"""The whole, for real: `peerwatch run` finds everything of a node by its data directory, and records it without rights."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.watched import Run, ask, one, running, wait_for
from tests.node.counts import Sums, captured, counted_more, only, refused
from tests.node.harness import Node, Program, at_rest
from tests.node.traffic import STEPS, scene

pytestmark = pytest.mark.node

NODE = """
[[node]]
name = "alpha"
datadir = "{node.datadir}"
probe = "auto"
role = "test"

[rpc_seconds]
getpeerinfo = 2
"""

TABLES = (
    "peer_state",
    "peer_traffic",
    "node_identity",
    "chain_state",
    "log_event",
    "log_traffic",
    "process_state",
    "message",
    "probe",
)
"""One or more of each source."""

MESSAGES = """
SELECT address, m.inbound, m.type, count(*)::BIGINT AS messages, sum(m.size)::BIGINT AS payload
FROM message m JOIN (SELECT DISTINCT session, peer, address FROM connection WHERE source = 'capture' AND address IS NOT NULL)
USING (session, peer) WHERE m.source = 'capture' GROUP BY ALL
"""


@pytest.fixture
def archive_folder() -> Iterator[Path]:
    """A folder that the watcher's user can reach, unlike pytest's own."""
    made = Path(tempfile.mkdtemp(prefix="peerwatch-test-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def recorded(run: Run) -> Sums:
    """Messages and payload bytes in the archive."""
    return {(r["address"], r["inbound"], r["type"]): (r["messages"], r["payload"]) for r in ask(run.archive, MESSAGES)}


def test_a_node_is_watched_in_every_way(program: Program, folder: Path, archive_folder: Path) -> None:
    """Every source has rows, every captured message is in the archive as the node counted it, and no secret is anywhere."""
    a, b = Node(program, folder / "a"), Node(program, folder / "b")
    with a, b, scene(a, b) as set_up, running(archive_folder, NODE.format(node=a)) as run:
        wait_for(lambda: ask(run.archive, "SELECT 1 FROM probe WHERE event = 'pong'"), "our own peer")
        for step in STEPS:
            step(set_up)
        for table in TABLES:
            wait_for(lambda table=table: one(run.archive, f"SELECT count(*) FROM {table}"), f"rows of {table}")

        def agree() -> None:
            peers = a.peers()
            seen = only(recorded(run), peers)
            assert seen == only(captured(a), peers)
            more = counted_more(peers, seen, refused(a))
            assert {key[2] for key in more} <= {"ping"}  # spelled out by the peers that speak v2

        at_rest(agree)
        cookie = a.cookie().partition(":")[2]
        assert one(run.archive, "SELECT count(*) FROM loss WHERE kind = 'disagreement'") == 0
        assert {row["role"] for row in ask(run.archive, "SELECT role FROM node_identity")} == {"test"}
        assert run.stop() == 0
        assert cookie not in run.said()
        assert not [path for path in run.archive.rglob("*") if path.is_file() and cookie.encode() in path.read_bytes()]
