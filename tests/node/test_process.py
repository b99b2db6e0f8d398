"""The process of a real node, as /proc has it."""

from __future__ import annotations

import psutil
import pytest

from peerwatch.sources.look import LookSource
from peerwatch.sources.process.look import ProcessLook
from tests.node.coins import mine
from tests.node.traffic import Scene
from tests.node.watching import NAME, Watching

pytestmark = pytest.mark.node

CORE_THREADS = {"main", "msghand", "net", "addcon", "scheduler", "http", "httpworker"}
"""Those that a node without connections of its own accord has (no opencon with -connect=0)."""


def test_figures_of_a_node(played: Scene) -> None:
    """Its threads by Core's names, and memory, processor time, disk and descriptors as psutil has them."""
    node = played.node
    process = psutil.Process(node.pid)
    before = process.cpu_times()
    with Watching(LookSource(ProcessLook(lambda: node.pid, node.datadir), NAME)) as watching:
        watching.until(lambda: watching.of("process_state"), "figures")
        after = process.cpu_times()
        (row,) = watching.of("process_state")
        threads = {row["thread"]: row for row in watching.of("thread_state")}
        assert threads.keys() >= CORE_THREADS
        assert "other" not in threads or threads["other"]["threads"] < 5
        assert row["threads"] == process.num_threads() == sum(each["threads"] for each in threads.values())
        assert before.user <= row["cpu_user"] / 1e9 <= after.user
        assert before.system <= row["cpu_system"] / 1e9 <= after.system
        assert row["resident"] == pytest.approx(process.memory_info().rss, rel=0.05)
        assert row["descriptors"] == pytest.approx(process.num_fds(), abs=3)
        assert row["written"] > 0
        assert row["disk_free"] == pytest.approx(psutil.disk_usage(str(node.datadir)).free, rel=0.05)
        assert not watching.of("loss")
        assert not watching.gaps()


def test_work_is_seen_in_the_thread_that_does_it(played: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that are asked for by RPC are made in a thread of the HTTP server, not in that of the messages."""
    monkeypatch.setattr("peerwatch.sources.process.look.EVERY_NS", 0)
    node = played.node
    with Watching(LookSource(ProcessLook(lambda: node.pid), NAME)) as watching:
        watching.until(lambda: watching.of("thread_state"), "figures")
        mine(node, 300)
        played.same_tip()
        seen = len(watching.of("thread_state", thread="msghand"))
        watching.until(lambda: len(watching.of("thread_state", thread="msghand")) > seen, "later figures")
        took = {
            name: rows[-1]["cpu_user"] - rows[0]["cpu_user"]
            for name in ("httpworker", "addcon")
            if (rows := watching.of("thread_state", thread=name))
        }
        assert took["httpworker"] > 20_000_000
        assert took["addcon"] < 20_000_000
