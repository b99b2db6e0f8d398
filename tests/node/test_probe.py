"""Our own peer, with a real node at the other end."""

from __future__ import annotations

from typing import Any

import pytest

from peerwatch import __version__
from peerwatch.sources.look import LookSource
from peerwatch.sources.probe import connection, look
from peerwatch.sources.probe.look import ProbeLook
from tests.node.harness import LOOPBACK, Node, Program, at_rest
from tests.node.watching import NAME, Watching

pytestmark = pytest.mark.node

SECOND = 10**9


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PING_NS", SECOND // 5)
    monkeypatch.setattr(connection, "TRAFFIC_NS", SECOND)
    monkeypatch.setattr(look, "FIRST_PAUSE_S", 0.2)


def probe(node: Node, transport: Any, **options: bool) -> Watching:
    return Watching(LookSource(ProbeLook((LOOPBACK, node.port), "regtest", transport, **options), NAME))


def events(watching: Watching) -> list[str]:
    return [row["event"] for row in watching.of("probe")]


def talking(watching: Watching) -> str:
    """Wait for a few pongs; our end."""
    watching.until(lambda: events(watching).count("pong") >= 3, "pongs")
    return str(watching.of("probe")[-1]["address"])


@pytest.mark.parametrize("transport", ["v1", "v2"])
def test_the_node_sees_an_ordinary_peer(node: Node, transport: Any) -> None:
    """Under the end that was told, with the transport that was asked for; nothing but what was to be said is said."""
    with probe(node, transport) as watching:
        address = talking(watching)
        (peer,) = node.peers().values()
        assert peer["addr"] == address
        assert peer["subver"] == f"/peerwatch-probe:{__version__}/"
        assert peer["transport_protocol_type"] == transport
        assert (peer["inbound"], peer["relaytxes"], int(peer["services"], 16), peer["startingheight"]) == (True, False, 0, 0)
        said = {"version", "wtxidrelay", "sendaddrv2", "verack", "ping", "pong"}
        assert peer["bytesrecv_per_msg"].keys() <= said
        assert events(watching)[:4] == ["connecting", "connected", "handshake", "pong"]
        assert not watching.of("loss")
        assert all(0 < row["duration"] < 10 * SECOND for row in watching.of("probe") if row["event"] != "connecting")


def test_what_it_counts_is_what_the_node_says_it_sent(node: Node) -> None:
    """By type, payload bytes over v1, where each message has a header of 24 bytes."""
    with probe(node, "v1", addresses=True) as watching:
        talking(watching)

        def agree() -> None:
            watching.go_on(1.2)
            told: dict[str, int] = {}
            for row in watching.of("probe_traffic"):
                told[row["type"]] = told.get(row["type"], 0) + row["bytes"] + 24 * row["messages"]
            (peer,) = node.peers().values()
            assert {kind: size for kind, size in peer["bytessent_per_msg"].items() if kind != "pong"} == {
                kind: size for kind, size in told.items() if kind != "pong"
            }
            assert 0 < told["pong"] <= peer["bytessent_per_msg"]["pong"]
            assert peer["addr_relay_enabled"]

        at_rest(agree)
        assert not watching.gaps()


def test_a_restarted_node_is_talked_to_again(node: Node) -> None:
    """The end of the connection is a row, absence is told, and the next connection has another end."""
    with probe(node, "auto") as watching:
        first = talking(watching)
        node.stop()
        watching.until(lambda: "failed" in events(watching), "it is away")
        node.start()
        watching.until(lambda: events(watching).count("handshake") == 2, "it is back")
        assert [row["kind"] for row in watching.of("loss")] == ["blind", "gap"]
        assert {row["transport"] for row in watching.of("probe")} == {"v2"}
        (peer,) = node.peers().values()
        assert peer["addr"] != first
        closed = next(row for row in watching.of("probe") if row["event"] == "closed")
        assert (closed["address"], closed["reason"]) == (first, "The node ended the connection.")


def test_a_node_without_v2_is_talked_to_in_v1(program: Program, folder: Any) -> None:
    """Where either will do."""
    with Node(program, folder / "a", ["-v2transport=0"]) as node, probe(node, "auto") as watching:
        address = talking(watching)
        assert [(peer["addr"], peer["transport_protocol_type"]) for peer in node.peers().values()] == [(address, "v1")]
        assert not watching.of("loss")
