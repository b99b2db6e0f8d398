"""Addresses of peers."""

from __future__ import annotations

from peerwatch.detect.known_peers import LONGEST, REMEMBERED, KnownPeers
from peerwatch.schema.batch import Rows
from tests.builders import Stream, at


def known(stream: Stream) -> KnownPeers:
    """Peers known from a stream's connections."""
    peers = KnownPeers()
    peers.update(Rows(stream.tables()["connection"]))
    return peers


def test_newest_address_of_a_peer():
    """Peers without an address are unknown, and closed ones stay known."""
    stream = Stream()
    stream.opened(at(0), 1)
    stream.opened(at(0), 2, address=None)
    stream.closed(at(1), 1)
    assert known(stream).addresses([1, 2, 3]) == {1: "192.0.2.1:8333"}


def test_hostile_address_is_bounded_and_escaped():
    """What the node writes may come from a peer: no control bytes, no endless text."""
    stream = Stream()
    stream.opened(at(0), 1, address="\x1b[2J" + "a" * 500)
    address = known(stream).addresses([1])[1]
    assert address.startswith("\\x1b[2Ja")
    assert len(address) <= LONGEST + 3


def test_bounded():
    """The oldest are forgotten first."""
    stream = Stream()
    for peer in range(REMEMBERED + 10):
        stream.opened(at(0), peer)
    peers = known(stream)
    assert min(peers.addresses(range(REMEMBERED + 10))) == 10
    other = KnownPeers()
    other.restore(peers.state())
    assert other.addresses([11]) == peers.addresses([11])
    peers.clear()
    assert peers.addresses(range(REMEMBERED)) == {}
