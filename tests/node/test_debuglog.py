"""The log of a real node: what is in it is told, and nothing is told twice or missed when the file turns under us."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable

import pytest

from tests.node.counts import as_logged, captured, logged, only
from tests.node.harness import Node, at_rest
from tests.node.stage import Stage, log
from tests.node.traffic import inbound
from tests.node.watching import Watching, logged_sums

pytestmark = pytest.mark.node

EVENTS = Counter(
    {
        "addr_received": 6,
        "getaddr_repeated": 1,
        "header_wrong_checksum": 2,
        "header_invalid_type": 2,
        "header_wrong_magic": 1,
        "header_too_large": 1,
        "v2_invalid_type": 4,
        "v2_decryption_failed": 1,
        "misbehaving": 2,
        "mutated_block": 1,
        "obsolete_version": 1,
        "tx_refused": 4,
    }
)
"""What one round of the traffic must leave in the log, and how often."""
SOME = {
    "addrman_added",
    "compact_block_rebuilt",
    "connection_added",
    "inbound_accepted",
    "peer_connected",
    "tip",
    "block_received",
}
"""What it leaves there more or less often."""


def test_every_message_is_in_the_log(stage: Stage) -> None:
    """Of each peer that is there, messages and bytes by type are those that the capture has, as the log spells types."""
    node, watching = stage.scene.node, stage.watching

    def agree() -> None:
        watching.go_on(1.5)
        peers = node.peers()
        assert only(logged_sums(watching, peers), peers) == logged(node, peers) == as_logged(only(captured(node), peers))

    at_rest(agree)


def test_what_the_traffic_leaves_is_told(stage: Stage) -> None:
    """Each breach, oddity and refusal is an event, as often as it happened, about the peer that did it."""
    stage.watching.go_on(1.5)
    rows = stage.watching.of("log_event")
    told = Counter(row["event"] for row in rows)
    assert {event: told[event] for event in EVENTS} == EVENTS
    assert told.keys() >= SOME
    texts = {row["text"] for row in rows if row["event"] == "misbehaving"}
    assert texts == {"mutated block", "inv message size = 50001"}
    oversized = [row for row in rows if row["event"] == "header_wrong_checksum"]
    assert {(row["text"], row["value"]) for row in oversized} == {("ping", 8)}
    assert all(row["peer"] is not None for row in rows if row["event"] in EVENTS)


def rotate(node: Node) -> None:
    """As logrotate does: give the file another name, and let the node open a new one."""
    node.log.rename(node.log.with_suffix(".log.1"))
    assert node.process is not None
    node.process.send_signal(signal.SIGHUP)


def truncate(node: Node) -> None:
    """As logrotate's copytruncate does."""
    with node.log.open("r+b") as file:
        file.truncate(0)


@pytest.mark.parametrize(("turn", "notice"), [(rotate, None), (truncate, "truncated")])
def test_the_file_turns(node: Node, turn: Callable[[Node], None], notice: str | None) -> None:
    """Messages from before and after are told once each; that something may be missing is said where it may be."""
    with Watching(log(node)) as watching:
        watching.read()
        with inbound(node) as peer:
            for _ in range(20):
                peer.settle()
            watching.go_on(2.0)  # what is not read yet is lost when a log is truncated
            turn(node)
            for _ in range(20):
                peer.settle()
            watching.go_on(1.5)
            peer.settle()

            def agree() -> None:
                watching.go_on(0.5)
                sums = logged_sums(watching, node.peers())
                assert sums[peer.name, True, "ping"][0] == peer.messages[True, "ping"]
                assert sums[peer.name, False, "pong"][0] == peer.messages[False, "pong"]

            at_rest(agree)
        losses = watching.of("loss")
        assert [row["kind"] for row in losses] == (["gap"] if notice else [])
        assert all(notice and notice in row["reason"] for row in losses)
        assert watching.gaps() == []


def test_the_node_restarts(node: Node) -> None:
    """Rows of the next run are under another session, beginning with its start; the stop is told, and a crash is not."""
    with Watching(log(node)) as watching:
        watching.read()
        node.stop()
        node.start()
        node.kill()
        node.start()
        watching.until(lambda: len(watching.of("log_event", event="node_started")) == 2, "two starts")
        assert len(watching.of("log_event", event="node_stopped")) == 1
        first, *others = sorted({row["session"] for row in watching.of("log_event")})
        assert len(others) == 2
        for session in others:
            assert watching.of("log_event", session=session)[0]["event"] == "node_started"
        assert first < others[0]
        assert watching.gaps() == []
