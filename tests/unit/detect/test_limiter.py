"""The mirror of Core's limiter over a node's connections."""

from __future__ import annotations

import json

import numpy as np
import pytest

from peerwatch.detect.limiter import Limiter, Spent
from peerwatch.schema.batch import SECOND, Rows
from peerwatch.schema.table import Identity
from tests.builders import START, Stream, at, honest_addresses, mapped

IP = honest_addresses(np.random.default_rng(0), 2000)


def offer(stream: Stream, seconds: float, peer: int, n: int, **more: object) -> None:
    """`n` addresses in one message."""
    stream.addr(at(seconds), peer, IP[:n], [START] * n, **more)


def settle(stream: Stream, limiter: Limiter | None = None, capacity: int = 8) -> dict[int, tuple[int, int]]:
    """Feed a stream second by second; (unasked, refused) in all, by peer."""
    limiter = limiter or Limiter(capacity)
    batch, total = stream.batch(), {}
    for second in sorted({int(ts) // SECOND for ts in batch.events}):
        inside = np.flatnonzero(batch.events // SECOND == second)
        rows = {}
        for name, table in batch.tables.items():
            low, high = np.searchsorted(batch.event_of[name], [inside[0], inside[-1] + 1]).tolist()
            if high > low:
                rows[name] = Rows(table.slice(low, high - low))
        limiter.update(rows)
        add(total, limiter, limiter.settle(second))
        limiter.end(second)
    return total


def add(total: dict[int, tuple[int, int]], limiter: Limiter, spent: Spent) -> None:
    """Add up by peer."""
    for slot, unasked, refused in zip(spent.slots.tolist(), spent.unasked.tolist(), spent.refused.tolist(), strict=True):
        peer = int(limiter.peers["key"][slot])
        before = total.get(peer, (0, 0))
        total[peer] = (before[0] + unasked, before[1] + refused)


def test_new_inbound_connection_has_one_token():
    """As in Core: of ten addresses right after connecting nine are refused, and one a ten seconds is admitted."""
    stream = Stream()
    stream.opened(at(0), 1)
    offer(stream, 0, 1, 10)
    offer(stream, 100, 1, 12)
    assert settle(stream) == {1: (22, 9 + 2)}


def test_answer_is_not_unasked():
    """Up to a thousand addresses answer a getaddr, however they are split, and only once."""
    stream = Stream()
    stream.opened(at(0), 1, conn_type="outbound-full-relay")
    stream.message(at(0), 1, "getaddr", inbound=False, size=0)
    for seconds, n in ((1, 400), (2, 600), (3, 50)):
        offer(stream, seconds, 1, n)
    assert settle(stream) == {1: (50, 49)}


def test_second_getaddr_grants_again():
    """A node that asks twice is answered twice; the first one is what the connection type implied."""
    stream = Stream()
    stream.opened(at(0), 1, conn_type="manual")
    for seconds in (1, 2):
        stream.message(at(seconds), 1, "getaddr", inbound=False, size=0)
    offer(stream, 3, 1, 2000)
    assert settle(stream) == {1: (0, 0)}


@pytest.mark.parametrize("conn_type", ["inbound", "block-relay-only", "feeler", None])
def test_no_answer_is_implied_where_core_does_not_ask(conn_type):
    """Over these connections Core sends no getaddr."""
    stream = Stream()
    stream.opened(at(0), 1, conn_type=conn_type)
    offer(stream, 1, 1, 100)
    assert settle(stream) == {1: (100, 99)}


def test_getaddr_of_the_peer_grants_nothing():
    """What a peer asks is not what the node asks."""
    stream = Stream()
    stream.opened(at(0), 1)
    stream.message(at(0), 1, "getaddr", size=0)
    offer(stream, 1, 1, 100)
    assert settle(stream) == {1: (100, 99)}


def test_described_connection_has_what_it_may_have_saved():
    """A connection of 1000 s may have 101 tokens; of unknown age, 1000."""
    stream = Stream()
    stream.opened(at(0), 1, event="described", established=at(-1000))
    stream.opened(at(0), 2, event="described", established=None)
    for peer in (1, 2, 3):
        offer(stream, 0, peer, 1500)
    assert settle(stream) == {1: (1500, 1399), 2: (1500, 500), 3: (1500, 500)}


def test_our_version_opens_a_connection_and_the_peers_does_not():
    """Without connection rows the node's own version tells a new connection; a peer cannot start over by sending one."""
    stream = Stream()
    stream.version(at(0), 1, inbound=False)
    offer(stream, 1, 1, 10)
    stream.version(at(2), 1)
    offer(stream, 3, 1, 10)
    assert settle(stream) == {1: (20, 19)}


def test_closed_connection_is_forgotten():
    """A peer id that comes again is a new connection."""
    limiter, stream = Limiter(8), Stream()
    stream.opened(at(0), 1)
    offer(stream, 1, 1, 10)
    stream.closed(at(1), 1)
    stream.opened(at(2), 2)
    assert settle(stream, limiter) == {1: (10, 9)}
    assert limiter.peers["key"][limiter.peers.slots()].tolist() == [2]


def test_reopened_id_starts_over():
    """An opening of an id that was not seen to close begins a new connection from the next second on."""
    limiter, stream = Limiter(8), Stream()
    stream.opened(at(0), 1)
    stream.message(at(900), 9, "ping")
    stream.opened(at(1000), 1)
    offer(stream, 1001, 1, 10)
    assert settle(stream, limiter) == {1: (10, 9)}


@pytest.mark.parametrize("how", ["exited", "started", "other start"])
def test_restart_forgets_everybody(how):
    """Peer ids start over with the node."""
    limiter, stream = Limiter(8), Stream()
    stream.node(at(0), "found", started=at(-100))
    stream.opened(at(0), 1)
    stream.opened(at(0), 2)
    stream.node(at(500), "found" if how == "other start" else how, started=at(499) if how == "other start" else None)
    stream.opened(at(500), 2)
    offer(stream, 501, 2, 10)
    assert settle(stream, limiter) == {2: (10, 9)}
    assert limiter.peers["key"][limiter.peers.slots()].tolist() == [2]


def test_watcher_restart_keeps_connections():
    """The same process found again is no restart of the node."""
    limiter, stream = Limiter(8), Stream()
    for seconds in (0, 50):
        stream.node(at(seconds), "found", started=at(-100))
        stream.opened(at(seconds), 1, event="opened" if not seconds else "described", established=at(0))
    assert settle(stream, limiter) == {}
    assert len(limiter.peers) == 1
    assert limiter.bucket.tokens(limiter.peers.slots(), START + 50).tolist() == [6.0]


def test_entries_that_were_not_kept_count():
    """By proportion where some were kept, by the usual size where none was."""
    stream = Stream()
    stream.opened(at(0), 1)
    offer(stream, 0, 1, 10, size=3000, kept=300)
    stream.message(at(0), 1, "addr", size=3003, kept=0)
    stream.message(at(0), 1, "tx", size=3003, kept=0)
    assert settle(stream) == {1: (10 + 90 + 100, 199)}


def test_addresses_that_the_node_sends_do_not_count():
    """Gossip of the node itself is not the peer's."""
    stream = Stream()
    stream.opened(at(0), 1)
    offer(stream, 0, 1, 10, inbound=False)
    assert settle(stream) == {}


def test_more_peers_than_room():
    """Offers of peers that found no room are left out whole, and the others' are right."""
    limiter, stream = Limiter(2), Stream()
    for peer in (5, 3, 9):
        offer(stream, 0, peer, 10)
    result = limiter.update({name: Rows(table) for name, table in stream.tables().items()})
    assert result is not None
    assert result.entries.tolist() == [10, 10]
    assert result.of.tolist() == [0] * 10 + [1] * 10
    assert result.row.tolist() == list(range(20))
    assert limiter.peers.refused == 1


def test_no_room_at_all():
    """When everybody new is refused there is no offer."""
    limiter, stream, other = Limiter(1), Stream(), Stream()
    offer(stream, 0, 1, 3)
    offer(other, 0, 2, 3)
    assert limiter.update({name: Rows(table) for name, table in stream.tables().items()}) is not None
    assert limiter.update({name: Rows(table) for name, table in other.tables().items()}) is None


def test_offer_has_the_rows_of_each_message():
    """Rows are found by message, with the node's own left out."""
    stream = Stream()
    stream.addr(at(0), 1, mapped(["1.1.1.1", "2.2.2.2"]), [1, 2])
    stream.addr(at(1), 1, mapped(["3.3.3.3"]), [3], inbound=False)
    stream.addr(at(2), 2, mapped(["4.4.4.4"]), [4])
    result = Limiter(4).update({"address": Rows(stream.tables()["address"])})
    assert result is not None
    assert (result.seq.tolist(), result.ts.tolist(), result.entries.tolist()) == ([0, 2], [at(0), at(2)], [2, 1])
    assert (result.row.tolist(), result.of.tolist()) == ([0, 1, 3], [0, 0, 1])


def test_state_round_trip():
    """A limiter restored in the middle of a second goes on as if nothing had happened."""
    stream = Stream()
    stream.node(at(0), "found", started=at(-1))
    stream.opened(at(0), 1, conn_type="manual")
    offer(stream, 0, 1, 1500)
    first, second = Limiter(4), Limiter(4)
    first.update({name: Rows(table) for name, table in stream.tables().items()})
    second.restore(json.loads(json.dumps(first.state())))
    results = [limiter.settle(START) for limiter in (first, second)]
    assert [r.refused.tolist() for r in results] == [[499], [499]]
    assert first.state() == second.state()


def test_connections_are_of_a_session():
    """Each peer has the session of its newest messages, whole or not, whoever else found no room in between."""
    limiter = Limiter(2)
    for session, peers, more in ((5, (1, 2), {}), (6, (9, 2), {}), (7, (1,), {"kept": 0})):
        stream = Stream(Identity("alice", session, "usdt"))
        for peer in peers:
            (stream.message(at(session), peer, "addr", size=93, **more) if more else offer(stream, session, peer, 3))
        limiter.update({name: Rows(rows) for name, rows in stream.tables().items()})
        assert limiter.peers.of(2, "session") == min(session, 6)
    assert limiter.peers.of(1, "session") == 7
