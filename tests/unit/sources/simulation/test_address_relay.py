"""What we pass on of announced addresses."""

from __future__ import annotations

import numpy as np

from peerwatch.schema.batch import SECOND, Array
from peerwatch.sources.simulation.address_relay import AddressRelay
from peerwatch.sources.simulation.addresses import FULL_NODE, Addresses, ipv4
from peerwatch.sources.simulation.announcements import Announcements
from peerwatch.sources.simulation.model import HOUR, MINUTE, Model
from peerwatch.sources.simulation.peers import PEER, Span
from tests.unit.sources.simulation.seen import START, column, rng

IPS = np.arange(40, dtype=np.uint32) * 7919 + (9 << 24)


def table(count: int) -> Array:
    peers = np.zeros(count, PEER)
    peers["id"], peers["addr_relay"] = np.arange(count) + 100, True
    return peers


def heard(what: Addresses, at: int, age: int = 60, source: int = 100) -> Announcements:
    count = len(what)
    return Announcements(column([at]), column([source]), column([count]), what, np.full(count, at // SECOND - age))


def run(relay: AddressRelay, peers: Array, minutes: int, news: dict[int, Announcements]) -> list[tuple[int, int, int]]:
    """Time, peer and port of every entry sent."""
    out = []
    for n in range(minutes):
        span = Span(START + n * MINUTE, START + (n + 1) * MINUTE)
        relay.turn(span, peers)
        if n in news:
            relay.pass_on(news[n], np.full(len(news[n].what), -1))
        sent = relay.flush(span)
        assert (span.has(sent.ts)).all()
        out += list(zip(sent.ts[sent.message].tolist(), sent.peer[sent.message].tolist(), sent.what.port.tolist(), strict=True))
    return out


def ported(ips: Array) -> Addresses:
    what = ipv4(ips, 0, FULL_NODE)
    return Addresses(what.network, what.key, np.arange(1, len(ips) + 1, dtype=np.uint16), what.services)


def test_each_address_goes_to_two_others_and_arrives() -> None:
    """Two peers get it, after a wait of half a minute on average, and never the one it came from."""
    sent = run(AddressRelay(rng(), Model(), ported(IPS)), table(20), 15, {0: heard(ported(IPS), START + SECOND)})

    assert sorted(port for _, _, port in sent) == sorted([*range(1, 41)] * 2)
    assert len({(peer, port) for _, peer, port in sent}) == 80
    assert 100 not in {peer for _, peer, _ in sent}
    assert 15 < np.mean([ts - START - SECOND for ts, _, _ in sent]) / SECOND < 60


def test_the_two_are_the_same_for_a_day() -> None:
    """The same address that comes again, from another peer, goes to the same two."""
    news = {0: heard(ported(IPS), START + SECOND), 5: heard(ported(IPS), START + 5 * MINUTE, source=101)}
    sent = run(AddressRelay(rng(), Model(), ported(IPS)), table(20), 20, news)
    pairs: dict[int, list[int]] = {}
    for _, peer, port in sent:
        pairs.setdefault(port, []).append(peer)

    same = [sorted(p)[::2] == sorted(p)[1::2] for p in pairs.values() if not {100, 101} & set(p)]
    assert len(same) > 20
    assert all(same)


def test_stale_and_unroutable_addresses_are_kept() -> None:
    """What was seen more than ten minutes ago, and what is in a private network, is not passed on."""
    private = ported(np.full(3, 0x0A000001, np.uint32))
    news = {0: heard(ported(IPS), START + SECOND, age=601), 1: heard(private, START + MINUTE)}

    assert run(AddressRelay(rng(), Model(), ported(IPS)), table(20), 10, news) == []


def test_an_address_of_the_pool_is_passed_on_once_in_hours() -> None:
    """Its destinations know it, so it is not sent to them again."""
    relay, peers, pool = AddressRelay(rng(), Model(), ported(IPS)), table(20), ported(IPS)
    counts = []
    for start in (START, START + HOUR, START + 7 * HOUR):
        sent = 0
        for n in range(12):
            span = Span(start + n * MINUTE, start + (n + 1) * MINUTE)
            relay.turn(span, peers)
            if n == 0:
                relay.pass_on(heard(pool, start + SECOND), np.arange(len(pool)))
            sent += len(relay.flush(span).what)
        counts.append(sent)

    assert counts == [80, 0, 80]


def test_a_peer_is_sent_nothing_before_it_is_ready() -> None:
    """One that completes its handshake within the window gets its share after that."""
    peers = table(20)
    peers["ready"] = START + 50 * SECOND
    sent = run(AddressRelay(rng(), Model(), ported(IPS)), peers, 15, {0: heard(ported(IPS), START + SECOND)})

    assert len(sent) == 80
    assert min(ts for ts, _, _ in sent) >= START + 50 * SECOND


def test_without_enough_peers_nothing_is_passed_on() -> None:
    """A node with two peers that take addresses has nobody to choose from."""
    assert run(AddressRelay(rng(), Model(), ported(IPS)), table(2), 5, {0: heard(ported(IPS), START + SECOND)}) == []
