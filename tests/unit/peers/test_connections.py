"""All of it together: equal to the plain rules, in any batches, and through snapshots."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from peerwatch.peers import announced, blocks, exchanges, relay, weirds
from peerwatch.peers.connections import SOURCES, Connections
from peerwatch.peers.roster import Roster
from peerwatch.schema.table import Identity
from tests.builders import IDENTITY, Stream, at
from tests.reference.peers import rows_of
from tests.reference.talk import in_order, talk, told

WHOLE = 10**9


@pytest.mark.parametrize("seed", range(6))
def test_is_what_the_plain_rules_say(seed: int) -> None:
    """Row by row, for anything that peers may say."""
    stream = talk(seed)
    rows = told(stream, WHOLE)
    plain = {name: [{c: row[c] for c in rows[name][0]} for row in found] for name, found in rows_of(stream).items()}
    assert in_order(rows) == in_order(plain)


@pytest.mark.parametrize("seed", range(100, 103))
def test_batches_do_not_matter(seed: int) -> None:
    """With losses, restarts and clocks set back; nor does it matter to be replaced by a snapshot after each."""
    stream = talk(seed, upset=True)
    rows = told(stream, WHOLE)
    for size in (1, 7, 60):
        assert told(stream, size) == rows
    assert told(stream, 25, restored=True) == rows


@pytest.mark.parametrize("seed", range(200, 203))
def test_batches_do_not_matter_when_nothing_fits(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every bound so small that things are forgotten all the time."""
    for module, name, value in (
        (exchanges, "WAITING", 4), (relay, "WAITING", 4), (weirds, "SUMS", 3), (announced, "NOTED", 20), (blocks, "ANNOUNCED", 4),
        (blocks, "PER_SIDE", 2), (blocks, "SIDES", 2),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(Roster.__init__, "__defaults__", (5,))
    stream = talk(seed, upset=True)
    rows = told(stream, WHOLE)
    for size in (1, 13):
        assert told(stream, size) == rows
    assert told(stream, 25, restored=True) == rows


def feed(connections: Connections, stream: Stream, identity: Identity) -> dict[str, Any]:
    """A stream as rows of some identity."""
    batch = stream.batch()
    return connections.feed(identity, batch.tables, batch.event_of, batch.events, None)[0]


def one(ts: float, kind: str) -> Stream:
    """A message of some peer, in a stream of its own."""
    stream = Stream()
    stream.message(at(ts), 1, kind)
    return stream


def test_sources_and_sessions_are_kept_apart() -> None:
    """An answer in another source, or in another session of the same, answers nothing."""
    connections = Connections("alice")
    feed(connections, one(0.1, "getheaders"), IDENTITY)
    answer = Stream()
    answer.message(at(0.2), 1, "headers", inbound=False)
    other = Identity("alice", IDENTITY.session, "capture")
    assert feed(connections, answer, other) == {}
    assert "exchange" in feed(connections, answer, IDENTITY)
    feed(connections, one(0.3, "getheaders"), IDENTITY)
    assert feed(connections, answer, Identity("alice", IDENTITY.session + 1, IDENTITY.source)) == {}
    assert [w[0].source for w in connections.finish()] == ["capture", IDENTITY.source]


def test_sources_are_bounded() -> None:
    """The one that came first goes, and what it held back is told."""
    connections = Connections("alice")
    identities = [Identity("alice", 1, f"source{n}") for n in range(SOURCES + 1)]
    for identity in identities:
        feed(connections, one(0.1, "nonsense"), identity)
    assert [(i, t["weird"].num_rows) for i, t in connections.replaced()] == [(identities[0], 1)]
    assert [w[0] for w in connections.finish()] == identities[1:]


def test_what_is_left_when_a_source_ends_or_is_replaced() -> None:
    """It is told once, with time and number of the last event, whether the end was said or another session came."""
    ended, replaced = Connections("alice"), Connections("alice")
    stream = one(0.1, "nonsense")
    stream.message(at(0.2), 1, "ping")
    successor = Identity("alice", IDENTITY.session + 1, IDENTITY.source)
    for connections in (ended, replaced):
        feed(connections, stream, IDENTITY)
    left = ended.end(IDENTITY)
    assert ended.end(IDENTITY) == ended.end(successor) == {}
    assert ended.finish() == []
    feed(replaced, one(5, "ping"), successor)
    assert replaced.end(IDENTITY) == {}
    assert replaced.replaced() == [(IDENTITY, left)]
    assert replaced.replaced() == []
    (row,) = left["weird"].to_pylist()
    assert [row[name] for name in ("ts", "seq", "first_ts", "first", "session")] == [
        at(0.2), 1, at(0.1), 0, IDENTITY.session,
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(300, 302))
def test_rows_have_the_moment_of_the_event_that_they_are_told_with(seed: int) -> None:
    """So that a replay by time and number gives them as live, whatever the batches."""
    stream = talk(seed, upset=True)
    batch = stream.batch()
    tables, event_of = Connections("alice").feed(batch.identity, batch.tables, batch.event_of, batch.events, None)
    assert {"weird", "relay", "exchange", "handshake"} <= tables.keys()
    for name, table in tables.items():
        assert table.column("seq").to_pylist() == event_of[name].tolist()
        assert table.column("ts").to_pylist() == batch.events[event_of[name]].tolist()


def test_nothing_in_nothing_out() -> None:
    """A chunk without events, or with none that it knows, gives nothing."""
    connections = Connections("alice")
    assert connections.feed(IDENTITY, {}, {}, np.zeros(0, np.int64), None) == ({}, {})
    stream = Stream()
    stream.add(at(0), mempool={"event": "added", "txid": bytes(32)})
    assert feed(connections, stream, IDENTITY) == {}


def test_a_snapshot_is_small() -> None:
    """That of an ordinary node, with a few hundred requests that wait."""
    connections, stream = Connections("alice"), Stream()
    for peer in range(125):
        stream.opened(at(0), peer)
        for side in (True, False):
            stream.version(at(0.1), peer, inbound=side)
            stream.message(at(0.2), peer, "verack", inbound=side)
        for number in range(4):
            row = {"peer": peer, "inbound": False, "idx": 0, "message": "getdata", "kind": 5, "item": number}
            stream.message(at(0.3), peer, "getdata", inbound=False, inventory=[row])
    feed(connections, stream, IDENTITY)
    assert len(json.dumps(connections.snapshot())) < 300_000
    assert not any(connections.forgotten.values())
