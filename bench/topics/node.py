"""A real node that is looked at in every way: what that costs the node, and the watcher while nothing happens."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.figures import Budget, Figure, Scale, Topic
from peerwatch.store.query import Query
from tests.node.harness import Node, Program
from tools.install_node import BINARY, cache_folder, install

MINUTE_MS = 60_000.0


def measure(scale: Scale) -> list[Figure]:
    """Runs of two lengths; their difference is what goes on, without starting and ending."""
    root = install(cache_folder())
    program = Program(root / BINARY, root)
    short, long = scale.of(15, 3), scale.of(75, 8)
    with (
        program.folder() as made,
        Node(program, made / "a") as node,
        Node(program, made / "b") as other,
        tempfile.TemporaryDirectory() as to,
    ):
        node.connect(other)
        begun, _ = _run(node, short, Path(to) / "short")
        ended, archive = _run(node, long, Path(to) / "long")
        calls = Query(archive).table(
            "SELECT sum(duration) / 1e6 AS busy, max(ts) - min(ts) AS span FROM rpc_call WHERE error IS NULL"
        )
    (row,) = calls.to_pylist()
    share = 100 * (ended - begun) / (long - short)
    return [
        Figure("processor of the watcher, node with one quiet peer", "% of one", [max(share, 0.001)], Budget(1.0, 0.5)),
        Figure("the node's time for RPC, first calls included", "ms/min", [row["busy"] * MINUTE_MS / (row["span"] / 1e6)]),
    ]


def _run(node: Node, seconds: int, archive: Path) -> tuple[float, Path]:
    """Watch a node. Returns the processor time that it took, in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    known = f"rpc={node.rpc_port},cookie={node.netdir / '.cookie'},log={node.netdir / 'debug.log'},name=alpha"
    command = [
        sys.executable,
        "-m",
        "peerwatch",
        "run",
        "--quiet",
        "--node",
        known,
        "--archive",
        str(archive),
        "--for",
        str(seconds),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, archive


TOPIC = Topic(
    "Looking at a node",
    """A real node (Debian's Bitcoin Knots, regtest) with one peer is asked by RPC at the usual intervals; its log is read.
The processor's share is the difference of a longer and a shorter run.""",
    measure,
    traces=True,
)
