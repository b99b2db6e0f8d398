"""What each source saw of every peer's messages is what the node itself counted: the source of captures, and that of tracepoints
where the node has them, by the same test.
"""

from __future__ import annotations

import pytest

from tests.node.counts import SPELLED_OUT, captured, counted_more, only, refused
from tests.node.harness import at_rest
from tests.node.stage import Stage
from tests.node.traffic import inbound
from tests.node.watching import message_sums, opened

pytestmark = pytest.mark.node


@pytest.fixture(params=["capture", "usdt"])
def source(request: pytest.FixtureRequest, stage: Stage) -> str:
    """Name of a source of messages."""
    name: str = request.param
    if name == "usdt" and stage.untraced:
        pytest.skip(f"no tracepoints to compare with: {stage.untraced}; PEERWATCH_BITCOIND can name a node that has them")
    return name


def test_every_message_is_seen(stage: Stage, source: str) -> None:
    """Of every peer that is there, direction and type, messages and bytes are those that the node counted."""
    node, scene = stage.scene.node, stage.scene

    def agree() -> None:
        peers = node.peers()
        stage.watching.go_on(1.0)
        seen = only(message_sums(stage.watching, source, opened(stage.watching, source)), peers)
        assert seen == only(captured(node), peers)
        spelled_out = {(peer.name, True, "ping"): SPELLED_OUT * scene.rounds for peer in scene.staying if peer.cipher}
        assert counted_more(peers, seen, refused(node)) == spelled_out

    at_rest(agree)


def test_peers_that_went_are_seen_too(stage: Stage, source: str) -> None:
    """Connections that were over at once are told apart, each with the messages that the node looked at."""

    def agree() -> None:
        stage.watching.go_on(0.5)
        addresses = opened(stage.watching, source)
        assert len(addresses) > len(stage.scene.node.peers()) + 10
        assert message_sums(stage.watching, source, addresses) == captured(stage.scene.node)

    at_rest(agree)
    kinds = {kind for _, _, kind in captured(stage.scene.node)}
    assert kinds > {"version", "inv", "tx", "block", "cmpctblock", "addrv2", "nonsense", "x (5 bytes)"}


def test_nothing_is_told_of_sources_that_agree(stage: Stage) -> None:
    """The comparison that is made while watching finds no difference; had the sources not heard the pings, it had found that."""
    watching, kinds = stage.watching, {*stage.message_sources, "debuglog"}
    with inbound(stage.scene.node) as peer:  # one that comes while the node is asked already

        def missed() -> bool:
            peer.send("<ping>", bytes(8))  # `ping` in the log
            peer.settle()
            return {row["probe"] for row in watching.missed} == kinds

        watching.until(missed, "that no pings were heard")
    assert {row["kind"] for row in watching.missed} == {"disagreement"}
    assert all("ping" in row["reason"] for row in watching.missed)
    assert watching.told == []


def test_events_are_numbered_without_gaps(stage: Stage) -> None:
    """Nothing that any source numbered is missing, and nothing was said to be lost."""
    stage.watching.go_on(0.5)
    assert stage.watching.gaps() == []
    assert stage.watching.of("loss") == []
