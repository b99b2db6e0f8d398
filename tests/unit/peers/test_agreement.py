"""Comparing what was seen with what the node counts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwatch.peers.agreement import GRACE, Agreement
from peerwatch.schema.batch import SECOND
from peerwatch.schema.table import Identity
from peerwatch.schema.tables.connection import Connection
from peerwatch.schema.tables.message import Message
from peerwatch.schema.tables.peer_state import PeerState
from peerwatch.schema.tables.peer_traffic import PeerTraffic

ADDRESS = "127.0.0.1:5"
PAYLOAD, ON_WIRE = 8, 32
"""Of a ping in v1."""


class Node:
    """One node with a peer that pings it: what it counts, what its sources say, and what is found wrong."""

    def __init__(self, source: str = "usdt") -> None:
        """Nothing was sent yet."""
        self.agreement = Agreement("alice")
        self.rpc = Identity("alice", 100, "rpc")
        self.source = Identity("alice", 200, source)
        self.counted: dict[tuple[bool, str], int] = {}
        self.told: list[dict[str, Any]] = []
        self.now = 0

    def poll(self, transport: str = "v1") -> list[dict[str, Any]]:
        """Ask the node, a minute later. Returns what is told."""
        self.now += 60 * SECOND
        state = PeerState.build(
            self.rpc, {"ts": [self.now], "seq": [0], "peer": [7], "address": [ADDRESS], "transport": [transport]}
        )
        keys = list(self.counted)
        traffic = {"peer": [7] * len(keys), "inbound": [k[0] for k in keys], "type": [k[1] for k in keys]}
        traffic |= {"ts": [self.now] * len(keys), "seq": list(range(len(keys))), "bytes": list(self.counted.values())}
        given_back = self.agreement.feed(self.rpc, {"peer_state": state, "peer_traffic": PeerTraffic.build(self.rpc, traffic)})
        rows = given_back[1].to_pylist() if given_back else []
        self.told += rows
        return rows

    def open(self, peer: int = 7) -> None:
        """The source sees the connection opened."""
        row = {"ts": [self.now], "seq": [0], "peer": [peer], "event": ["opened"], "address": [ADDRESS]}
        self.agreement.feed(self.source, {"connection": Connection.build(self.source, row)})

    def ping(self, count: int = 1, *, seen: int | None = None, inbound: bool = True, peer: int = 7) -> None:
        """The peer sends (or is sent) pings, of which the source sees some, or all."""
        self.counted[inbound, "ping"] = self.counted.get((inbound, "ping"), 0) + count * ON_WIRE
        number = count if seen is None else seen
        columns: dict[str, Any] = {"peer": [peer] * number, "inbound": [inbound] * number, "type": ["ping"] * number}
        columns |= {
            "size": [PAYLOAD] * number,
            "kept": [PAYLOAD] * number,
            "unreadable": [False] * number,
            "ts": [self.now] * number,
            "seq": list(range(number)),
        }
        self.agreement.feed(self.source, {"message": Message.build(self.source, columns)})


def test_nothing_is_told_when_everything_was_seen() -> None:
    """A source that sees every message agrees with the node, from the beginning of a connection or from later on."""
    node = Node()
    node.counted[True, "ping"] = 40 * ON_WIRE
    node.poll()
    for _ in range(10):
        node.ping(3)
        node.ping(2, inbound=False)
        node.poll()
    assert node.told == []


@pytest.mark.parametrize("inbound", [True, False])
def test_what_was_not_seen_is_told_once(*, inbound: bool) -> None:
    """Some polls later a `loss` row says by how many bytes, of which peer, direction and type; what follows is compared anew."""
    node = Node()
    node.poll()
    node.open()
    node.ping(5, inbound=inbound)
    node.poll()
    node.ping(5, seen=2, inbound=inbound)
    for _ in range(GRACE):
        assert node.poll() == []
    (row,) = node.poll()
    assert (row["kind"], row["probe"], row["bytes"], row["source"]) == ("disagreement", "usdt", 3 * ON_WIRE, "agreement")
    way = "received from" if inbound else "sent to"
    assert row["reason"] == f"Of ping {way} peer 7 the node counted {3 * ON_WIRE} bytes more than usdt saw."
    for _ in range(5):
        node.ping(4, inbound=inbound)
        node.poll()
    assert len(node.told) == 1


def test_what_was_seen_twice_is_told() -> None:
    """A source that sees more of a peer's messages than the node has counted in the next poll is wrong."""
    node = Node()
    node.poll()
    node.open()
    node.ping(5)
    node.poll()
    node.ping(5, seen=7)
    node.poll()
    (row,) = node.poll()
    assert "64 bytes fewer than usdt saw" in row["reason"]
    node.ping(3)
    node.poll()
    assert len(node.told) == 1


def test_what_waits_to_be_sent_is_no_disagreement() -> None:
    """A peer that does not read lets what was sent to it wait for as long as it likes."""
    node = Node()
    node.poll()
    node.open()
    node.ping(5, inbound=False)
    node.counted[False, "ping"] = ON_WIRE
    for _ in range(10):
        node.poll()
    assert node.told == []


def test_what_waits_to_be_processed_has_time() -> None:
    """Messages that the node received and works off later are seen in time."""
    node = Node()
    node.poll()
    node.open()
    node.ping(5)
    node.poll()
    node.counted[True, "ping"] += 9 * ON_WIRE
    for _ in range(GRACE):
        node.poll()
    node.counted[True, "ping"] -= 9 * ON_WIRE
    node.ping(9)
    node.poll()
    node.poll()
    assert node.told == []


def test_a_restarted_node_counts_from_zero() -> None:
    """After a restart nothing of before is compared."""
    node = Node()
    node.poll()
    node.open()
    node.ping(50)
    node.poll()
    node.rpc, node.source, node.counted = Identity("alice", 101, "rpc"), Identity("alice", 201, "usdt"), {}
    node.poll()
    for _ in range(6):
        node.ping(2)
        node.poll()
    assert node.told == []


def test_peers_of_a_capture_are_told_by_their_address() -> None:
    """A capture numbers peers by itself; what it lost is told under the node's own id."""
    node = Node("capture")
    node.poll()
    node.open(peer=3)
    node.ping(5, peer=3)
    node.poll()
    node.ping(5, seen=4, peer=3)
    for _ in range(GRACE + 1):
        node.poll()
    (row,) = node.told
    assert "peer 7" in row["reason"]


def test_types_that_a_v2_peer_names_are_no_disagreement() -> None:
    """Each message may take 12 bytes more by that; what is missing beyond, or is no multiple of it, is told."""
    node = Node()
    node.poll("v2")
    node.open()
    node.ping(5)
    node.counted[True, "ping"] = 5 * (21 + PAYLOAD) + 2 * 12
    for _ in range(GRACE + 2):
        node.poll("v2")
    assert node.told == []
    node.counted[True, "ping"] += 21 + PAYLOAD
    for _ in range(GRACE + 2):
        node.poll("v2")
    assert [row["bytes"] for row in node.told] == [21 + PAYLOAD]


def test_without_the_nodes_own_figures_nothing_is_kept() -> None:
    """Where the node is not asked, comparing costs nothing."""
    node = Node()
    node.ping(5)
    assert node.agreement._witnesses == {}


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.booleans()), min_size=8, max_size=30))
def test_late_and_early_looks_never_accuse(steps: list[tuple[int, int, bool]]) -> None:
    """Whatever was sent between polls, and though processing lags by up to two polls, a whole view is never told wrong."""
    node = Node()
    node.poll()
    node.open()
    waiting = [0, 0]
    for sent, taken, both in steps:
        node.counted[True, "ping"] = node.counted.get((True, "ping"), 0) + sent * ON_WIRE
        due, waiting = waiting[0], [waiting[1], sent]
        now = min(taken, sum(waiting)) if both else 0
        waiting = [max(0, waiting[0] - now), waiting[1] - max(0, now - waiting[0])]
        counted = dict(node.counted)
        node.ping(due + now)
        node.counted = counted
        node.poll()
    assert node.told == []


def test_a_source_that_is_late_from_the_first_look_on() -> None:
    """What the node counted before its first answer and a source tells only afterwards is not more than the node counted."""
    node = Node()
    node.poll()
    node.ping(5, seen=1)
    node.poll()
    node.ping(0, seen=4)
    for _ in range(GRACE + 1):
        node.poll()
    assert node.told == []


def test_a_peer_cannot_let_the_log_say_too_much() -> None:
    """Types are misspelled in the log, so that more of one there is no disagreement; fewer is."""
    node = Node("debuglog")
    node.poll()
    node.ping(5)
    for _ in range(GRACE):
        node.poll()
    node.ping(1, seen=3)
    for _ in range(GRACE + 1):
        node.poll()
    assert node.told == []
    node.ping(50, seen=0)
    for _ in range(GRACE + 1):
        node.poll()
    (row,) = node.told
    assert "more than debuglog saw" in row["reason"]


def test_named_types_of_a_peer_that_was_there_before() -> None:
    """What may have been counted before a source watched is used up by named types bit by bit, and no odd rest of it is told."""
    node = Node()
    node.poll("v2")
    node.ping(3, seen=2)
    node.counted[True, "ping"] = 3 * (21 + PAYLOAD)
    node.poll("v2")
    for _ in range(20):
        before = node.counted[True, "ping"]
        node.ping(1)
        node.counted[True, "ping"] = before + 21 + PAYLOAD + 12
        node.poll("v2")
    assert node.told == []
    node.counted[True, "ping"] += 40 * (21 + PAYLOAD)
    for _ in range(GRACE + 1):
        node.poll("v2")
    assert len(node.told) == 1
