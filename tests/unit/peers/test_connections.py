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


@pytest.mark.parametrize("seed", range(12))
def test_is_what_the_plain_rules_say(seed: int) -> None:
    """Row by row, for anything that peers may say."""
    stream = talk(seed)
    rows = told(stream, WHOLE)
    plain = {name: [{c: row[c] for c in rows[name][0]} for row in found] for name, found in rows_of(stream).items()}
    assert in_order(rows) == in_order(plain)


@pytest.mark.parametrize("seed", range(100, 106))
def test_batches_do_not_matter(seed: int) -> None:
    """With losses, restarts and clocks set back; nor does it matter to be replaced by a snapshot after each."""
    stream = talk(seed, upset=True)
    rows = told(stream, WHOLE)
    for size in (1, 7, 60):
        assert told(stream, size) == rows
    assert told(stream, 25, restored=True) == rows


@pytest.mark.parametrize("seed", range(200, 206))
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
    """The one that came first goes."""
    connections = Connections("alice")
    for n in range(SOURCES + 1):
        feed(connections, one(0.1, "ping"), Identity("alice", 1, f"source{n}"))
    assert [w[0].source for w in connections.finish()] == [f"source{n}" for n in range(1, SOURCES + 1)]


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
