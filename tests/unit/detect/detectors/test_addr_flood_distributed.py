"""Many peers, each within the limiter, together far above what is usual."""

from __future__ import annotations

import numpy as np
import pytest

from peerwatch.detect.detectors.addr_flood import AddrFlood
from peerwatch.detect.detectors.addr_flood_distributed import AddrFloodDistributed
from peerwatch.detect.runner import Runner
from peerwatch.schema.batch import Batch
from peerwatch.schema.table import Identity
from tests.builders import IDENTITY, START, Stream, at, flood, gossip, honest_addresses, kinds, run

WINDOW = 300


@pytest.fixture
def rng():
    """Randomness that is the same every time."""
    return np.random.default_rng(22387)


def honest(rng: np.random.Generator, peers: range, span: tuple[float, float], rate: float = 0.015) -> Stream:
    """Connections that gossip at honest rates."""
    stream = Stream()
    for peer in peers:
        stream.opened(at(span[0]), peer)
        gossip(stream, rng, peer, span, rate)
    return stream


def test_a_hundred_sybils_below_the_limit_are_found(rng):
    """100 connections at 0.09 addresses a second among 40 honest ones: found in the first whole window, sybils named."""
    stream = honest(rng, range(40), (0, 5400))
    for peer in range(100, 200):
        stream.opened(at(3600), peer)
        now = 3600.0
        while (now := now + rng.exponential(22)) < 5400:
            stream.addr(at(now), peer, honest_addresses(rng, 2), [START] * 2)
    found = run(stream.sorted(), AddrFloodDistributed(), AddrFlood())
    assert kinds(found) == {"addr_flood_distributed"}
    first = found[0]
    start = START // WINDOW * WINDOW
    assert first.second <= (START + 3600 - start) // WINDOW * WINDOW + start + 2 * WINDOW
    assert first.finding.measured > 2000
    assert set(first.finding.peers) <= set(range(100, 200))
    assert len(first.finding.peers) > 30


def test_flood_that_lasts_does_not_become_usual_soon(rng):
    """After two usual hours, forty sybils at the limit are told in every window of three hours."""
    stream = honest(rng, range(10), (0, 18_000))
    for peer in range(100, 140):
        stream.opened(at(7200), peer)
        now = 7200.0
        while (now := now + rng.exponential(55)) < 18_000:
            stream.addr(at(now), peer, honest_addresses(rng, 5), [START] * 5)
    found = run(stream.sorted(), AddrFloodDistributed())
    assert len(found) >= 10_800 // WINDOW - 1
    assert found[-1].second > START + 18_000 - 2 * WINDOW


def test_honest_gossip_is_silent(rng):
    """30 honest peers at the upper end of honest rates, for half a day, with peers that come and go."""
    stream = honest(rng, range(30), (0, 43_200), rate=0.025)
    for nth in range(60):
        stream.opened(at(nth * 600), 100 + nth)
        gossip(stream, rng, 100 + nth, (nth * 600, nth * 600 + 590), rate=0.02)
        stream.closed(at(nth * 600 + 595), 100 + nth)
    assert run(stream.sorted(), AddrFloodDistributed()) == []


def test_answers_to_getaddr_do_not_count(rng):
    """Twenty outbound connections that answer with a thousand addresses each."""
    stream = Stream()
    for peer in range(20):
        stream.opened(at(peer), peer, conn_type="outbound-full-relay")
        stream.addr(at(peer + 1), peer, honest_addresses(rng, 1000), [START] * 1000)
    stream.message(at(700), 1, "ping")
    assert run(stream, AddrFloodDistributed()) == []


def test_peers_beyond_the_limiter_are_left_to_the_other_detector(rng):
    """A flood by twenty single connections is not told a second time as a distributed one."""
    stream = honest(rng, range(100, 130), (0, 1500))
    for peer in range(20):
        stream.opened(at(0), peer)
        flood(stream, rng, peer, 310 + peer, messages=100, every=1)
    assert run(stream.sorted(), AddrFloodDistributed()) == []


def test_addresses_of_peers_that_went_are_counted(rng):
    """Sybils that saved up what the limiter allows, bring it all at once and go, two a second."""
    stream = Stream()
    for nth in range(1200):
        stream.opened(at(nth / 2), nth, event="described", established=at(nth / 2 - 1000))
        stream.addr(at(nth / 2 + 0.1), nth, honest_addresses(rng, 60), [START] * 60)
        stream.closed(at(nth / 2 + 20), nth)
    stream.message(at(1000), 1, "ping")
    found = run(stream.sorted(), AddrFloodDistributed())
    assert found[0].finding.measured == pytest.approx(600 * 60, rel=0.1)


def test_evasion_what_grows_slowly_becomes_usual(rng):
    """Known limit: a rate that rises by a tenth an hour is learned on the way, up to the rate that no honest peer has."""
    stream = Stream()
    for peer in range(20):
        stream.opened(at(0), peer)
        for hour in range(8):
            gossip(stream, rng, peer, (hour * 3600, hour * 3600 + 3600), rate=0.015 * 1.1**hour)
    assert run(stream.sorted(), AddrFloodDistributed()) == []


def test_named_peers_are_of_one_session(rng):
    """Of a window in which the node was restarted, those of the newest process are named, and the query says whose they are."""
    runner, found = Runner("alice", [AddrFloodDistributed()]), []
    for session, start in ((1, 3600), (2, 3720)):
        stream = Stream(Identity("alice", session, "usdt"))
        for peer in range(100 * session, 100 * session + 40):
            stream.opened(at(start), peer, event="described", established=at(0))
            stream.addr(at(start + 1 + peer / 100), peer, honest_addresses(rng, 60), [START] * 60)
        found += runner.feed(stream.sorted().batch(at(start + 119)))
    found += runner.feed(Batch(IDENTITY, at(4600), {}, np.zeros(0, np.int64), {}))
    (flood,) = [each.finding for each in found]
    assert flood.session == 2
    assert set(flood.peers) == set(range(200, 240))
    assert "AND session = 2 AND inbound AND peer IN (200," in flood.query
