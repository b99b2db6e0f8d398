"""Counting what a source saw."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from peerwatch.peers.witness import Sum, Witness
from peerwatch.schema.table import Identity
from peerwatch.schema.tables.connection import Connection
from peerwatch.schema.tables.log_traffic import LogTraffic
from peerwatch.schema.tables.message import Message

WHO = Identity("alice", 5, "usdt")


def messages(*rows: tuple[int, bool, str, int]) -> dict[str, pa.RecordBatch]:
    """Rows of `message`: peer, inbound, type, size."""
    columns: dict[str, Any] = {name: [row[at] for row in rows] for at, name in enumerate(("peer", "inbound", "type", "size"))}
    columns |= {"ts": [1] * len(rows), "seq": list(range(len(rows))), "kept": columns["size"], "unreadable": [False] * len(rows)}
    return {"message": Message.build(WHO, columns)}


def connection(peer: int, event: str, address: str) -> dict[str, pa.RecordBatch]:
    """A row of `connection`."""
    return {"connection": Connection.build(WHO, {"ts": [1], "seq": [0], "peer": [peer], "event": [event], "address": [address]})}


@pytest.mark.parametrize(
    ("transport", "kind", "overhead"),
    [
        ("v1", "ping", 24),
        ("v1", "verack", 24),
        ("v2", "ping", 21),
        ("v2", "verack", 33),
        ("v2", "addrv2", 21),
        ("v2", "wtxidrelay", 33),
    ],
)
def test_messages_take_more_on_the_wire(transport: str, kind: str, overhead: int) -> None:
    """What a real node counted for one message of each: in v2 a type is 1 byte or 13 (`verack` of 33 bytes has no payload)."""
    assert Sum(3, 100).on_wire(transport, kind) == 100 + 3 * overhead


def test_sums_by_peer_direction_and_type() -> None:
    """Rows of several chunks add up, those of the log too, each under its own key."""
    witness = Witness(5, own_ids=False)
    witness.update(messages((-3, True, "inv", 37), (9, False, "inv", 1), (-3, True, "inv", 37), (-3, True, "pong", 8)))
    witness.update(messages((-3, True, "inv", 37)))
    row = {"ts": [1], "seq": [0], "peer": [9], "inbound": [False], "type": ["inv"], "messages": [4], "bytes": [10]}
    witness.update({"log_traffic": LogTraffic.build(WHO, row)})
    seen = witness.seen({-3: "v1", 9: "v2"}, {})
    assert seen.wire == {(-3, True, "inv"): 3 * 61, (-3, True, "pong"): 32, (9, False, "inv"): 11 + 5 * 21}
    assert (seen.nameable, seen.whole) == ({}, set())


def test_peers_whose_transport_is_not_decided_are_left_out() -> None:
    """Nothing is told of them: how many bytes a message took cannot be said."""
    witness = Witness(5, own_ids=False)
    witness.update(messages((1, True, "inv", 37), (2, True, "inv", 37)))
    assert witness.seen({2: "v1"}, {}).wire == {(2, True, "inv"): 61}


def test_ids_of_its_own_are_translated_by_address() -> None:
    """The newest of its peers at an address is the node's peer there; what it saw of a former one is forgotten."""
    witness = Witness(5, own_ids=True)
    witness.update(connection(0, "opened", "127.0.0.1:5"))
    witness.update(messages((0, True, "inv", 37)))
    assert witness.seen({70: "v1"}, {"127.0.0.1:5": 70}) == ({(70, True, "inv"): 61}, {}, {70})
    witness.update(connection(1, "opened", "127.0.0.1:5"))
    witness.update(messages((1, True, "ping", 8)))
    assert witness.seen({71: "v1"}, {"127.0.0.1:5": 71}) == ({(71, True, "ping"): 32}, {}, {71})
    assert witness.seen({71: "v1"}, {"127.0.0.1:6": 71}) == ({}, {}, set())


def test_closed_connections_are_forgotten() -> None:
    """A peer that is gone takes no room."""
    witness = Witness(5, own_ids=False)
    witness.update(connection(1, "opened", "a:1"))
    witness.update(messages((1, True, "inv", 37)))
    witness.update(connection(1, "closed", "a:1"))
    assert witness.seen({1: "v1"}, {}) == ({}, {}, set())


def test_what_is_counted_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound, new keys are not compared, and known ones go on."""
    monkeypatch.setattr("peerwatch.peers.witness.MOST_KEYS", 2)
    witness = Witness(5, own_ids=False)
    witness.update(messages(*((peer, True, "inv", 10) for peer in range(5))))
    witness.update(messages((0, True, "inv", 10)))
    assert witness.seen(dict.fromkeys(range(5), "v1"), {}).wire == {(0, True, "inv"): 68, (1, True, "inv"): 34}


def test_messages_of_v2_may_name_their_type() -> None:
    """How many of what a peer sent could have taken more is told; what the node sends takes as little as it can."""
    witness = Witness(5, own_ids=False)
    witness.update(messages((1, True, "inv", 37), (1, True, "inv", 37), (1, True, "verack", 0), (1, False, "inv", 37)))
    assert witness.seen({1: "v2"}, {}).nameable == {(1, True, "inv"): 2}
    assert witness.seen({1: "v1"}, {}).nameable == {}
