"""`peers/whereabouts.py`: one row of `origin` for each connection, of the row that it was made of."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from peerwatch.peers.netgroup import LONGEST
from peerwatch.peers.origins import NamedList, Origins
from peerwatch.peers.ours import Ours
from peerwatch.peers.whereabouts import PEERS, SOURCES, Whereabouts
from peerwatch.schema.batch import SECOND, Batch
from peerwatch.schema.table import Identity
from tests.builders import IDENTITY, START, Stream, at, cut
from tests.unit.peers.test_netgroup import TOR

ORIGINS = Origins({"5.6.7.8": 64500}.get, "ip_asn.map (2026-01-01)", [NamedList("exits (2026-01-02)", {"5.6.7.8"}.__contains__)])
MADE = ("peer", "inbound", "address", "network", "netgroup", "asn", "asn_map", "lists", "ours")


def rows_of(whereabouts: Whereabouts, *batches: Batch) -> list[dict[str, Any]]:
    """What is made of batches, with the events checked against ts and seq."""
    made = []
    for batch in batches:
        rows, of = whereabouts.feed(batch.identity, batch.tables, batch.event_of)
        if rows is None:
            assert not len(of)
            continue
        rows.validate(full=True)
        assert rows.column("ts").to_pylist() == batch.events[of].tolist()
        made += rows.to_pylist()
    return made


def fresh(origins: Origins = ORIGINS) -> Whereabouts:
    """One that has met nobody."""
    return Whereabouts(origins, Ours())


def test_a_connection_is_told_once_with_all_that_is_known() -> None:
    """The row has what the address tells, and time and number of the row that named it; closing and reopening makes another."""
    stream = Stream()
    stream.message(at(0), 9, "ping")
    stream.opened(at(1), 3, address="5.6.7.8:8333", network="ipv4")
    stream.opened(at(2), 3, event="described", address="5.6.7.8:8333")
    stream.opened(at(3), 3, event="misbehaving", address="5.6.7.8:8333")
    stream.closed(at(4), 3)
    stream.opened(at(5), 3, address="5.6.7.8:8333", conn_type=None)
    first, second = rows_of(fresh(), stream.batch())
    lists = "exits (2026-01-02)"
    expected = (3, True, "5.6.7.8", "ipv4", "5.6.0.0/16", 64500, "ip_asn.map (2026-01-01)", lists, False)
    assert tuple(first[name] for name in MADE) == expected
    assert {n: first[n] for n in ("node", "session", "source", "ts", "seq")} == {**vars_of(IDENTITY), "ts": at(1), "seq": 1}
    assert (second["seq"], second["inbound"]) == (5, False)


def vars_of(identity: Identity) -> dict[str, Any]:
    """The columns of an identity."""
    return {"node": identity.node, "session": identity.session, "source": identity.source}


PLACES = [
    (f"{TOR}:8333", "onion", ("onion", "onion:7", TOR)),
    ("127.0.0.1:40000", "onion", ("onion", "unroutable", "127.0.0.1")),
    ("127.0.0.1:40000", "not_publicly_routable", ("unroutable", "unroutable", "127.0.0.1")),
    ("[fc00::1]:8333", None, ("cjdns", "cjdns:0", "fc00::1")),
    ("[fc00::1]:8333", "not_publicly_routable", ("unroutable", "unroutable", "fc00::1")),
    ("[2001:470:a000::1]:8333", "ipv6", ("ipv6", "2001:470:a000::/36", "2001:470:a000::1")),
    ("\x1b[31mred", "somewhere", ("unroutable", "unknown", "\\x1b[31mred")),
    ("x" * 5000, None, ("unroutable", "unknown", "x" * LONGEST)),
]


@pytest.mark.parametrize(("address", "network", "expected"), PLACES, ids=range(len(PLACES)))
def test_network_netgroup_and_address_are_said(address: str, network: str | None, expected: tuple[str, str, str]) -> None:
    """The node's own word on the network counts, the netgroup is Core's, and texts are bounded and harmless."""
    stream = Stream()
    stream.opened(at(0), 1, address=address, network=network)
    (row,) = rows_of(fresh(Origins()), stream.batch())
    assert (row["network"], row["netgroup"], row["address"]) == expected
    assert (row["asn"], row["asn_map"], row["lists"]) == (None, None, None)


def test_peers_in_answers_to_rpc_are_met_once() -> None:
    """A peer is told with the first answer that has it and its address."""
    stream = Stream(Identity("alice", START * SECOND, "rpc"))
    for second in range(3):
        for peer, address in ((1, "1.2.3.4:8333"), (2, None if second < 2 else "2.2.3.4:8333")):
            stream.add(at(second), peer_state={"peer": peer, "address": address, "network": "ipv4", "inbound": False})
    made = rows_of(fresh(), *cut(stream.batch(), 2))
    assert [(row["peer"], row["ts"], row["inbound"]) for row in made] == [(1, at(0), False), (2, at(2), False)]


def test_batches_make_no_difference() -> None:
    """However rows are cut into batches, the same rows are made, also where the node restarts and ids begin anew."""
    stream = Stream()
    for nth in range(40):
        stream.opened(at(nth), nth % 7, event=("opened", "closed", "described")[nth % 3])
        stream.add(at(nth), peer_state={"peer": nth % 5, "address": f"9.{nth % 5}.0.1:1", "network": "ipv4"})
        if nth == 20:
            stream.node(at(nth), "exited")
    whole = rows_of(fresh(), stream.batch())
    assert len(whole) > 20
    for size in (1, 3, 17):
        assert rows_of(fresh(), *cut(stream.batch(), size)) == whole


def test_sources_and_sessions_are_told_apart() -> None:
    """Each source tells of a peer by itself, and another session of it begins anew."""
    whereabouts = fresh()
    made = []
    for source, session in (("usdt", 1), ("rpc", 1), ("usdt", 1), ("usdt", 2), ("rpc", 1)):
        stream = Stream(Identity("alice", session, source))
        stream.opened(at(0), 1)
        made.append(len(rows_of(whereabouts, stream.batch())))
    assert made == [1, 1, 0, 1, 0]


def test_our_own_peer_is_marked() -> None:
    """What `Ours` knows to be the probe has `ours` true, and nobody else."""
    ours = Ours()
    stream = Stream(Identity("alice", START * SECOND, "probe"))
    stream.add(at(0), probe={"event": "connecting", "address": "127.0.0.1:50000", "transport": "v1"})
    ours.learn(stream.identity, stream.tables())
    stream = Stream(Identity("alice", START * SECOND, "usdt"))
    stream.opened(at(1), 1, address="127.0.0.1:50000")
    stream.opened(at(1), 2, address="127.0.0.1:50001")
    ours.learn(stream.identity, stream.tables())
    made = rows_of(Whereabouts(Origins(), ours), stream.batch())
    assert [(row["peer"], row["ours"]) for row in made] == [(1, True), (2, False)]


def test_chunks_without_peers_cost_nothing() -> None:
    """A chunk without rows that name peers, or without rows at all, gives none."""
    stream = Stream()
    stream.message(at(0), 1, "ping")
    assert rows_of(fresh(), stream.batch(), Batch(IDENTITY, 0, {}, stream.batch().events, {})) == []


def test_what_is_known_is_bounded() -> None:
    """Of too many peers those not seen for longest are forgotten, and of too many sources the oldest."""
    whereabouts = fresh(Origins())
    stream = Stream()
    for peer in range(PEERS + 10):
        stream.opened(at(0), peer)
        if peer % 1000 == 0:
            stream.opened(at(0), 0, event="described")
    assert len(rows_of(whereabouts, stream.batch())) == PEERS + 10
    peers = whereabouts.snapshot()["simulation"]["peers"]
    assert len(peers) == PEERS
    assert 0 in peers
    assert 1 not in peers
    for nth in range(SOURCES):
        stream = Stream(Identity("alice", 1, f"source {nth}"))
        stream.opened(at(0), 1)
        rows_of(whereabouts, stream.batch())
    assert list(whereabouts.snapshot()) == [f"source {nth}" for nth in range(SOURCES)]


def test_a_snapshot_goes_on_as_if_nothing_had_happened() -> None:
    """After a restart of the watcher nobody is told a second time, and the state is the same."""
    stream = Stream()
    stream.opened(at(0), 1)
    stream.opened(at(0), 2)
    before = fresh()
    assert len(rows_of(before, stream.batch())) == 2
    state = json.loads(json.dumps(before.snapshot()))
    after = fresh()
    after.restore(state)
    assert after.snapshot() == state
    stream.opened(at(1), 3)
    assert [row["peer"] for row in rows_of(after, stream.batch())] == [3]


def test_the_table_is_filled_whole() -> None:
    """Every column of `origin` that a row can have is there, of the declared type."""
    stream = Stream()
    stream.opened(at(0), 1, address="5.6.7.8:8333")
    batch = stream.batch()
    rows, _ = fresh().feed(batch.identity, batch.tables, batch.event_of)
    assert isinstance(rows, pa.RecordBatch)
    assert [name for name in rows.schema.names if rows.column(name).null_count] == []
