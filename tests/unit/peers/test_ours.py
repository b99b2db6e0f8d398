"""`peers/ours.py`: the rows about our own probe are dropped, whoever tells of it, and those of nobody else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from peerwatch.peers.ours import ADDRESSES, PEERS, Ours
from peerwatch.schema.batch import SECOND, Batch
from peerwatch.schema.table import Identity
from tests.builders import START, Stream, at

AT = "127.0.0.1:50000"


class Told:
    """What sources tell of one node, handed to an `Ours` as it comes."""

    def __init__(self) -> None:
        """Nothing was told."""
        self.ours = Ours()
        self.sessions: dict[str, int] = {}

    def stream(self, source: str) -> Stream:
        """An empty stream of a source."""
        return Stream(Identity("alice", self.sessions.get(source, START * SECOND), source))

    def give(self, stream: Stream) -> Batch:
        """Hand a chunk over and say what is left of it."""
        batch = stream.batch()
        self.ours.learn(batch.identity, batch.tables)
        tables, of = self.ours.without(batch.identity, batch.tables, batch.event_of)
        return Batch(batch.identity, batch.watermark, tables, batch.events, of)

    def probe(self, event: str, seconds: float, address: str = AT) -> None:
        """The probe says something."""
        stream = self.stream("probe")
        stream.add(at(seconds), probe={"event": event, "address": address, "transport": "v2"})
        assert self.give(stream).tables["probe"].num_rows == 1

    def opened(self, source: str, peer: int, seconds: float, address: str = AT, **more: Any) -> bool:
        """A source tells of a connection and a ping on it; whether that is left."""
        stream = self.stream(source)
        stream.opened(at(seconds), peer, address=address, **more)
        stream.message(at(seconds), peer, "ping")
        return self.left(stream)

    def polled(self, peer: int, seconds: float, address: str = AT, source: str = "rpc") -> bool:
        """The node is asked for its peers; whether the row is left."""
        stream = self.stream(source)
        stream.add(at(seconds), peer_state={"peer": peer, "address": address, "inbound": True})
        return self.left(stream)

    def heard(self, source: str, peer: int, seconds: float) -> bool:
        """A message of a peer; whether it is left."""
        stream = self.stream(source)
        stream.message(at(seconds), peer, "ping")
        return self.left(stream)

    def left(self, stream: Stream) -> bool:
        """Whether a chunk is left as it is, or nothing of it."""
        given, kept = stream.batch().tables, self.give(stream).tables
        assert not kept or kept == given
        return bool(kept)


@pytest.fixture
def told() -> Told:
    return Told()


def test_without_a_probe_nothing_is_touched(told: Told) -> None:
    """As long as nothing is ours the very tables come back."""
    stream = told.stream("usdt")
    stream.opened(at(0), 5, address=AT)
    batch = stream.batch()
    told.ours.learn(batch.identity, batch.tables)
    assert told.ours.without(batch.identity, batch.tables, batch.event_of) == (batch.tables, batch.event_of)
    assert told.ours.without(batch.identity, batch.tables, batch.event_of)[0] is batch.tables


def test_only_rows_of_our_peer_go(told: Told) -> None:
    """Of a chunk with several peers the rows of others stay, with their events; so do tables without peers and unknown peers."""
    told.probe("connecting", 0)
    stream = told.stream("usdt")
    stream.opened(at(0.1), 0, address=AT)
    for second, peer in enumerate((1, 0, 2, 0)):
        stream.message(at(1 + second), peer, "ping")
    stream.loss(at(6), "dropped")
    stream.add(at(7), log_event={"event": "x", "peer": None, "category": "net"})
    batch = told.give(stream)
    assert batch.tables["message"].column("peer").to_pylist() == [1, 2]
    assert batch.event_of["message"].tolist() == [1, 3]
    assert sorted(batch.tables) == ["log_event", "loss", "message"]
    assert batch.tables["log_event"].num_rows == 1


def test_sources_with_the_node_s_ids_share_them(told: Told) -> None:
    """What a tracepoint tells of our connection holds for the log and for answers to RPC, but not for a capture's own ids."""
    told.probe("connecting", 0)
    assert not told.opened("usdt", 7, 0.1)
    assert not told.heard("debuglog", 7, 1)
    assert not told.polled(7, 2)
    assert told.heard("capture", 7, 1)
    assert not told.opened("capture", 3, 0.1)
    assert not told.heard("capture", 3, 1)
    assert told.heard("usdt", 3, 1)


def test_an_answer_to_rpc_alone_tells(told: Told) -> None:
    """Where nobody tells of connections, the node's list of peers does."""
    told.probe("connecting", 0)
    assert told.polled(1, 1, "127.0.0.1:50001")
    assert not told.polled(2, 1)
    assert not told.heard("debuglog", 2, 1)


def test_the_probe_s_word_may_come_late(told: Told) -> None:
    """A connection that was told before the probe's row arrived is recognized when it does."""
    assert told.opened("usdt", 4, 0.1)
    assert told.opened("usdt", 5, 0.2, "127.0.0.1:50001")
    told.probe("connecting", 0.05)
    assert not told.heard("usdt", 4, 1)
    assert told.heard("usdt", 5, 1)


def test_others_at_the_same_address_are_not_ours(told: Told) -> None:
    """Before, long after, and in the other direction, a connection with the probe's address is somebody else's."""
    assert told.opened("usdt", 1, -3)
    told.probe("connecting", 0)
    assert told.heard("usdt", 1, 1)
    assert told.opened("usdt", 2, 1, conn_type="outbound-full-relay")
    assert not told.opened("usdt", 3, 1)
    told.probe("closed", 10)
    assert not told.heard("usdt", 3, 11)
    assert told.opened("usdt", 4, 60)
    told.probe("failed", 61, "127.0.0.1:50007")
    assert told.opened("usdt", 5, 61, "127.0.0.1:50007")


def test_what_comes_late_of_a_closed_connection_is_dropped(told: Told) -> None:
    """Sources that are slower than the probe may tell of its connection after its end."""
    told.probe("connecting", 0)
    told.probe("closed", 3)
    assert not told.polled(9, 2)
    assert not told.opened("capture", 1, 3.5, event="closed")


@pytest.mark.parametrize("closed_first", [True, False])
def test_after_a_restart_of_the_node_the_id_is_another_s(told: Told, *, closed_first: bool) -> None:
    """Once the probe's connection is over and a source began anew, the id is free, in whatever order that becomes known."""
    told.probe("connecting", 0)
    assert not told.opened("usdt", 0, 0.1)
    steps = [lambda: told.probe("closed", 50), lambda: told.sessions.update(usdt=(START + 51) * SECOND)]
    for step in steps if closed_first else reversed(steps):
        step()
        if not closed_first:
            told.heard("usdt", 99, 51)
    assert told.opened("usdt", 0, 52, "192.0.2.1:8333")
    assert told.heard("rpc", 0, 53)


def test_a_source_that_begins_anew_alone_changes_nothing(told: Told) -> None:
    """The node's ids hold for as long as our connection does; a source's own ids only as long as its session."""
    told.probe("connecting", 0)
    assert not told.opened("usdt", 0, 0.1)
    assert not told.opened("capture", 6, 0.1)
    told.sessions |= {"usdt": (START + 5) * SECOND, "capture": (START + 5) * SECOND}
    assert not told.heard("usdt", 0, 6)
    assert told.heard("capture", 6, 6)


def test_what_is_known_is_bounded(told: Told) -> None:
    """A probe that reconnects for years is remembered by its latest connections."""
    for nth in range(PEERS + 10):
        address = f"127.0.0.1:{nth}"
        told.probe("connecting", nth, address)
        assert not told.opened("usdt", nth, nth, address)
        told.probe("closed", nth, address)
    state = told.ours.snapshot()
    assert (len(state["spans"]), len(state["peers"])) == (ADDRESSES, PEERS)
    assert told.heard("usdt", 9, 1)
    assert not told.heard("usdt", 10, 1)


def test_a_snapshot_goes_on_as_if_nothing_had_happened(told: Told) -> None:
    """After a restart of the watcher, known peers stay ours, and those told before the probe's row are recognized."""
    told.probe("connecting", 0)
    assert not told.opened("usdt", 1, 0.1)
    assert told.opened("usdt", 2, 0.2, "127.0.0.1:50001")
    state = json.loads(json.dumps(told.ours.snapshot()))
    told.ours = Ours()
    told.ours.restore(state)
    assert told.ours.snapshot() == state
    told.probe("connecting", 0.1, "127.0.0.1:50001")
    assert [told.heard("usdt", peer, 1) for peer in (1, 2, 3)] == [False, False, True]
    assert told.ours.has(Identity("alice", 0, "debuglog"), 1)
