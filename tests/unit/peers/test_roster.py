"""Connections: when they began and ended, and who has to go when there are too many."""

from __future__ import annotations

import json

import numpy as np

from peerwatch.peers.connections import Connections
from peerwatch.peers.roster import CONNECTIONS, Roster
from peerwatch.peers.states import FAR
from peerwatch.peers.stretch import Arrivals, Stretch
from tests.builders import Stream, at


def roster_of(stream: Stream, capacity: int = 8) -> tuple[Roster, Stretch, dict[int, int]]:
    """A roster that took the connection rows of a stream."""
    batch = stream.batch()
    stretch = Stretch(Arrivals(batch.tables, batch.event_of, batch.events, batch.events, 0), 0, len(batch.events))
    roster = Roster(capacity)
    return roster, stretch, roster.connections(stretch)


def test_a_connection_is_whole_from_its_opening_to_its_end() -> None:
    """And not when it was only described; and only until something was lost."""
    stream = Stream()
    stream.opened(at(0), 1)
    stream.opened(at(1), 2, event="described")
    stream.opened(at(2), 3)
    stream.closed(at(5), 1)
    roster, _, ends = roster_of(stream)
    assert ends == {1: 3}
    slots = roster.slots_of(np.array([1, 1, 2, 3, 3]))
    ordinals = np.array([2, 3, 2, 1, 9])
    assert roster.whole(slots, ordinals).tolist() == [True, False, False, False, True]
    roster.lose(6)
    assert roster.whole(slots, ordinals).tolist() == [True, False, False, False, False]
    assert roster.slots_of(np.array([77])).tolist() == [-1]


def test_memories_forget_for_themselves() -> None:
    """What one forgot of a connection does not matter to the others, nor to connections that came later."""
    stream = Stream()
    for ts in (0.5, 1.5):
        stream.opened(at(ts), int(ts))
    roster, stretch, _ = roster_of(stream)
    stretch.slots = roster.slots_of(np.array([0, 1]))
    roster.forget(np.array([0, 1, 5]), np.array([0, 0, 0]), "pings")
    both = np.array([0, 1])
    assert roster.remembered(stretch, both, "pings").tolist() == [False, True]
    assert roster.remembered(stretch, both, "transactions").tolist() == [True, True]


def test_closed_connections_go_first() -> None:
    """When there is no room; then those that were silent for the longest time."""
    stream = Stream()
    for peer in range(8):
        stream.opened(at(peer / 10), peer)
    stream.closed(at(1), 5)
    roster, _, _ = roster_of(stream)
    assert roster.conn["key"][roster.make_room()].tolist() == [5]
    assert roster.make_room().tolist() == []
    roster.conn.locate(np.array([9]), np.array([99]))
    assert roster.conn["key"][roster.make_room()].tolist() == [0]
    assert roster.conn.evicted == 1


def test_state_comes_back() -> None:
    """As it was, through JSON."""
    stream = Stream()
    stream.opened(at(0), 3)
    stream.closed(at(1), 3)
    roster, _, _ = roster_of(stream)
    again = Roster(8)
    again.restore(json.loads(json.dumps(roster.state())))
    assert again.closed == {3}
    slot = again.conn.slot(3)
    assert (again.conn["open_at"][slot], again.conn["end_at"][slot], again.conn["met"][slot]) == (0, 1, FAR)


def test_any_number_of_connections() -> None:
    """State has a bound, whatever comes; what had to go is counted."""
    connections = Connections("alice")
    for second in range(3):
        stream = Stream()
        for peer in range(3000):
            stream.message(at(second + 0.5), second * 3000 + peer, "ping")
        batch = stream.batch()
        connections.feed(batch.identity, batch.tables, batch.event_of, batch.events, None)
    assert connections.forgotten["connections"] >= 9000 - CONNECTIONS
    assert len(json.dumps(connections.snapshot())) < 6_000_000
