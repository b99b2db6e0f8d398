"""The flood of 2021 is recognized, and nothing that honest peers do."""

from __future__ import annotations

import numpy as np
import pytest

from peerwatch.alerts.book import IncidentBook
from peerwatch.alerts.incident import State
from peerwatch.detect.detectors.addr_flood import AddrFlood
from peerwatch.detect.runner import Runner
from peerwatch.schema.batch import SECOND, Batch
from peerwatch.schema.table import Identity
from tests.builders import (
    IDENTITY,
    START,
    Stream,
    at,
    cut,
    flood,
    gossip,
    honest_addresses,
    kinds,
    mapped,
    peers_of,
    run,
    uniform_addresses,
)

HONEST = range(20)


@pytest.fixture
def rng():
    """Randomness that is the same every time."""
    return np.random.default_rng(2021)


def connected(*peers: int, conn_type: str = "inbound") -> Stream:
    """A stream in which these peers connected and exchanged versions at the start."""
    stream = Stream()
    for peer in peers:
        stream.opened(at(0), peer, conn_type=conn_type)
        stream.version(at(0), peer, inbound=conn_type != "inbound")
        stream.version(at(0), peer, inbound=conn_type == "inbound")
    return stream


def answer(stream: Stream, rng: np.random.Generator, seconds: float, peer: int, *, kind: str = "addr", n: int = 1000) -> None:
    """An answer to getaddr: many addresses at once, hours to days old."""
    stream.addr(at(seconds), peer, honest_addresses(rng, n), START + int(seconds) - rng.integers(0, 10**6, n), kind=kind)


def test_flood_of_2021_names_the_flooders_and_no_others_within_two_seconds(rng):
    """500 messages of ten random addresses by three of 23 peers: found for these in the second after they began."""
    stream = connected(*HONEST, 20, 21, 22)
    for peer in range(23):
        gossip(stream, rng, peer, (0, 500))
    for peer in (20, 21, 22):
        flood(stream, rng, peer, 300)
    found = run(stream.sorted(), AddrFlood())
    floods = [each for each in found if each.finding.kind == "addr_flood"]
    assert peers_of(found, "addr_flood") == {20, 21, 22}
    assert {p for each in found for p in each.finding.peers} == {20, 21, 22}
    assert min(each.second for each in floods) <= START + 301
    last = max(floods, key=lambda each: each.second).finding
    assert last.measured > 4800
    assert last.facts["special_addresses_percent"] == pytest.approx(13.8, abs=3)
    assert last.facts["future_times_percent"] == pytest.approx(89, abs=4)
    assert last.facts["messages_of_one_size_percent"] == 100


def test_flood_becomes_one_incident_that_is_resolved_when_it_ends(rng):
    """The incident opens at the second second of the flood, has all flooders, and ends a minute after the last message."""
    stream = connected(1, 2, 3)
    for peer in (1, 2):
        flood(stream, rng, peer, 30)
    gossip(stream, rng, 3, (0, 400))
    runner, book = Runner("alice", [AddrFlood()]), IncidentBook("alice")
    changes = book.take(runner.feed(stream.sorted().batch(at(400))), runner.elapsed)
    assert {change.incident for change in changes} == {changes[0].incident}
    assert [changes[0].state, changes[-1].state] == [State.OPEN, State.RESOLVED]
    assert changes[0].ts <= at(32)
    assert changes[-1].ts == at(130 + 60)
    assert [(p.id, p.address) for p in changes[-1].peers] == [(1, "192.0.2.1:8333"), (2, "192.0.2.2:8333")]


def test_evidence_and_query_lead_to_the_messages(rng):
    """A finding names the first message of the excess and the newest, and a query for exactly the flooding peers and times."""
    stream = connected(7)
    flood(stream, rng, 7, 10, messages=40)
    found = [e.finding for e in run(stream, AddrFlood()) if e.finding.kind == "addr_flood"]
    first, newest = found[-1].evidence
    assert (first.table, first.source, first.seq) == ("message", "simulation", 3)
    assert newest.seq == len(stream.events) - 1
    assert (found[-1].first_ts, found[-1].last_ts) == (stream.events[3], stream.events[-1])
    assert {each.session for each in found} == {first.session} == {IDENTITY.session}
    assert (
        f"session = {IDENTITY.session} AND inbound AND peer IN (7) AND ts BETWEEN {stream.events[3]} AND {stream.events[-1]}"
        in found[-1].query
    )


def test_flood_without_conspicuous_content_is_told_by_its_shape(rng):
    """Ten honest-looking addresses in every message, far too often: a flood by its regularity alone."""
    stream = connected(1)
    for nth in range(60):
        stream.addr(at(10 + nth + rng.uniform(0, 1)), 1, honest_addresses(rng, 10), START - rng.integers(0, 9999, 10))
    assert peers_of(run(stream.sorted(), AddrFlood()), "addr_flood") == {1}


def test_uniform_addresses_that_avoid_special_space_are_told(rng):
    """Addresses spread over all /8s but the special ones, in messages of mixed sizes at random times, with past timestamps."""
    stream = connected(1)
    now = 10.0
    while now < 300:
        ip = uniform_addresses(rng, 30)
        ip = ip[(ip[:, 12] < 224) & ~np.isin(ip[:, 12], (0, 10, 100, 127, 169, 172, 192, 198))][: rng.integers(1, 11)]
        stream.addr(at(now), 1, ip, START + int(now) - rng.integers(0, 3600, len(ip)))
        now += rng.exponential(1)
    found = run(stream, AddrFlood())
    assert peers_of(found, "addr_flood") == {1}
    assert "addr_future" not in kinds(found)


def test_flood_after_hours_of_honesty_is_found_at_once(rng):
    """A peer that behaved for long can offer what it saved up, and then floods like any other."""
    stream = connected(1)
    gossip(stream, rng, 1, (0, 12_000))
    flood(stream, rng, 1, 12_100)
    found = [e for e in run(stream, AddrFlood()) if e.finding.kind == "addr_flood"]
    saved = 1000
    assert found[0].second <= START + 12_100 + saved // 50 + 3


def test_flood_of_messages_that_were_cut_is_found(rng):
    """What we did not keep counts: three entries kept of each message of a hundred, in messages of mixed sizes."""
    stream = connected(1)
    for nth in range(20):
        ip = uniform_addresses(rng, 3)
        stream.addr(at(10 + nth), 1, ip, START + nth + rng.integers(100, 500, 3), size=3003 + 30 * nth, kept=93)
    found = [e.finding for e in run(stream, AddrFlood()) if e.finding.kind == "addr_flood"]
    assert found[-1].measured == pytest.approx(20 * 110, rel=0.1)


def test_messages_of_which_nothing_was_kept_count():
    """Their size alone tells of an excess; there is no message to show, but the time is right."""
    stream = connected(1)
    for nth in range(3):
        stream.message(at(10 + nth), 1, "addr", size=30_003, kept=0)
    stream.closed(at(13), 1)
    (found,) = run(stream, AddrFlood())
    assert found.finding.kind == "addr_excess"
    assert found.finding.measured == pytest.approx(3000, rel=0.01)
    assert (found.finding.first_ts, found.finding.last_ts, found.finding.evidence) == (at(10), at(12), ())


@pytest.mark.parametrize("kind", ["addr", "addrv2"])
@pytest.mark.parametrize("asked", [True, False])
def test_answers_to_getaddr_are_silent(rng, kind, asked):
    """1000 addresses at once on an outbound connection are normal, also when the getaddr itself was not seen."""
    stream = connected(1, conn_type="outbound-full-relay")
    if asked:
        stream.message(at(1), 1, "getaddr", inbound=False, size=0)
    answer(stream, rng, 2, 1, kind=kind)
    stream.addr(at(3), 1, honest_addresses(rng, 1), [START])
    gossip(stream, rng, 1, (10, 3600))
    assert run(stream, AddrFlood()) == []


def test_late_answer_to_getaddr_is_silent(rng):
    """A peer may take its time to answer."""
    stream = connected(1, conn_type="outbound-full-relay")
    stream.message(at(1), 1, "getaddr", inbound=False, size=0)
    answer(stream, rng, 700, 1)
    assert run(stream, AddrFlood()) == []


def test_answer_without_connection_rows_is_silent(rng):
    """A source that sees only messages: the getaddr that the node sent is enough."""
    stream = Stream()
    stream.version(at(0), 1, inbound=False)
    stream.version(at(0), 1)
    stream.message(at(1), 1, "getaddr", inbound=False, size=0)
    answer(stream, rng, 2, 1)
    assert run(stream, AddrFlood()) == []


def test_addr_fetch_is_silent(rng):
    """AddrFetch connections ask, get a thousand addresses and go, again and again."""
    stream = Stream()
    for peer in range(20):
        start = peer * 30
        stream.opened(at(start), peer, conn_type="addr-fetch")
        stream.message(at(start + 1), peer, "getaddr", inbound=False, size=0)
        answer(stream, rng, start + 2, peer)
        stream.closed(at(start + 3), peer)
    assert run(stream, AddrFlood()) == []


def test_daily_self_announcements_are_silent(rng):
    """A peer that sends its own address once a day, with its present time, for ten days."""
    stream = connected(1)
    own = honest_addresses(rng, 1)
    for day in range(10):
        stream.addr(at(day * 86_400 + 60), 1, own, [START + day * 86_400 + 60])
    assert run(stream, AddrFlood()) == []


def test_honest_relay_is_silent(rng):
    """Forty Core peers at the upper end of honest rates, for two hours."""
    stream = connected(*range(40))
    for peer in range(40):
        gossip(stream, rng, peer, (0, 7200), rate=0.025)
    assert run(stream.sorted(), AddrFlood()) == []


def test_private_own_address_is_silent():
    """A client behind NAT that announces its private addresses twice a day, and passes on little else."""
    stream = connected(1)
    for half_day in range(20):
        ip = mapped(["10.1.1.71", "192.168.1.5"])
        stream.addr(at(half_day * 43_200), 1, ip, [START + half_day * 43_200] * 2)
    assert run(stream, AddrFlood()) == []


def test_skewed_clock_is_silent(rng):
    """A crawler whose clock is five minutes fast stamps addresses with its own present."""
    stream = Stream()
    stream.opened(at(0), 1)
    stream.version(at(0), 1, clock=START + 300)
    for nth in range(60):
        now = 30 + 60 * nth + rng.uniform(0, 60)
        stream.addr(at(now), 1, honest_addresses(rng, 3), [START + int(now) + 300] * 3)
    assert run(stream, AddrFlood()) == []


def test_relay_of_a_flood_within_the_limiter_opens_no_incident(rng):
    """Today's nodes pass on at most what their limiter admits: flood addresses, but few, and at their own pace."""
    stream = connected(1)
    now = 5.0
    while (now := now + rng.exponential(30)) < 7200:
        n = max(int(rng.poisson(1.2)), 1)
        stream.addr(at(now), 1, uniform_addresses(rng, n), START + int(now) + rng.integers(-60, 500, n))
    found = run(stream, AddrFlood())
    assert {each.kind.severity for each in found} <= {"record"}
    assert kinds(found) <= {"addr_special", "addr_future"}


def test_relay_of_a_flood_without_limiter_is_only_recorded(rng):
    """A node from before the limiter passes on much of a flood, but at the pace of Core's timer: it is not called a flooder."""
    stream = connected(1)
    now = 100.0
    while (now := now + rng.exponential(30)) < 400:
        n = int(rng.integers(10, 60))
        stream.addr(at(now), 1, uniform_addresses(rng, n), START + int(now) + rng.integers(0, 540, n))
    found = run(stream, AddrFlood())
    assert "addr_relayed" in kinds(found)
    assert {each.kind.severity for each in found} == {"record"}


def test_careful_flood_at_the_pace_of_a_relay_is_a_notice(rng):
    """What no relay could have to pass on is worth a notice, at whatever pace it comes; the pace keeps it from being a page."""
    stream = connected(1)
    now = 100.0
    while (now := now + rng.exponential(30)) < 900:
        n = int(rng.integers(20, 90))
        stream.addr(at(now), 1, uniform_addresses(rng, n), START + int(now) + rng.integers(0, 540, n))
    found = run(stream, AddrFlood())
    assert max(each.kind.severity for each in found if each.finding.kind == "addr_excess") == "notice"
    assert "addr_flood" not in kinds(found)


def test_excess_is_forgiven_at_the_limiters_rate(rng):
    """Fifteen addresses too many every half hour never add up to a report; at once, they do."""
    stream = connected(1)
    for nth in range(10):
        saved = 1 + (180 * (nth > 0))
        stream.addr(at(1800 * nth), 1, honest_addresses(rng, saved + 15), [START] * (saved + 15))
    assert run(stream, AddrFlood()) == []
    stream.addr(at(1800 * 9 + 60), 1, honest_addresses(rng, 30), [START] * 30)
    stream.closed(at(1800 * 9 + 61), 1)
    assert kinds(run(stream, AddrFlood())) == {"addr_excess"}


def test_unasked_thousand_is_a_notice_after_a_minute(rng):
    """A client that dumps a thousand addresses unasked is worth a notice, and no flooder."""
    stream = connected(1)
    answer(stream, rng, 10, 1)
    stream.message(at(100), 1, "ping")
    found = run(stream, AddrFlood())
    assert [(each.finding.kind, each.second - START) for each in found] == [("addr_excess", 70)]
    assert found[0].finding.measured == 998


def test_unasked_thousand_is_reported_when_the_peer_goes(rng):
    """Who leaves at once is reported at once."""
    stream = connected(1)
    answer(stream, rng, 10, 1)
    stream.closed(at(11), 1)
    assert [(e.finding.kind, e.second - START) for e in run(stream, AddrFlood())] == [("addr_excess", 11)]


def test_restarted_node_starts_over(rng):
    """Peer ids of the new process have nothing of the old process's peers: the flooder's id is innocent now."""
    stream = connected(0, 1)
    flood(stream, rng, 1, 10, messages=100)
    stream.node(at(60), "exited")
    stream.node(at(63), "started", started=at(63))
    for peer in (0, 1):
        stream.opened(at(65), peer)
        gossip(stream, rng, peer, (66, 4000))
    found = run(stream.sorted(), AddrFlood())
    assert max(each.second for each in found) < START + 60


def test_peer_that_was_there_before_is_given_what_it_may_have_saved(rng):
    """A connection of three hours may have saved 1000 tokens: 900 addresses are no excess, 1900 are."""
    stream = Stream()
    stream.opened(at(0), 1, event="described", established=at(-3 * 3600))
    for nth in range(9):
        stream.addr(at(1 + nth), 1, honest_addresses(rng, 100 + nth), START - rng.integers(0, 9999, 100 + nth))
    assert run(stream, AddrFlood()) == []
    for nth in range(9):
        stream.addr(at(20 + nth), 1, honest_addresses(rng, 100 + nth), START - rng.integers(0, 9999, 100 + nth))
    stream.closed(at(30), 1)
    assert kinds(run(stream, AddrFlood())) == {"addr_excess"}


def test_options_move_the_threshold(rng):
    """An operator who wants to know less sets the notice higher."""
    stream = connected(1)
    answer(stream, rng, 10, 1, n=200)
    stream.closed(at(11), 1)
    assert kinds(run(stream, AddrFlood())) == {"addr_excess"}
    assert run(stream, AddrFlood({"excess_notice": 300})) == []


def test_evasion_slow_flood_is_missed(rng):
    """Known limit: below Core's limiter a single connection floods unseen here, whatever is in its addresses."""
    stream = connected(1)
    now = 10.0
    while (now := now + rng.exponential(30)) < 3600:
        n = max(int(rng.poisson(1.5)), 1)
        stream.addr(at(now), 1, honest_addresses(rng, n), START + int(now) - rng.integers(0, 600, n))
    assert run(stream, AddrFlood()) == []


def test_evasion_clock_claimed_in_version_hides_future_timestamps(rng):
    """Known limit: who claims a clock ten minutes fast is not told by its timestamps, but still by everything else."""
    stream = Stream()
    stream.opened(at(0), 1)
    stream.version(at(0), 1, clock=START + 3600)
    flood(stream, rng, 1, 10, messages=100)
    found = run(stream, AddrFlood())
    assert "addr_future" not in kinds(found)
    assert peers_of(found, "addr_flood") == {1}


def test_many_flooders_give_a_bounded_number_of_findings(rng):
    """More flooders than findings a second: those of the largest excess are reported."""
    stream = Stream()
    for peer in range(300):
        stream.opened(at(0), peer)
    for nth in range(25):
        for peer in range(300):
            ip = honest_addresses(rng, 10)
            stream.addr(at(5) + nth * SECOND // 30 + peer, peer, ip, START - rng.integers(0, 9999, 10))
    found = [each for each in run(stream, AddrFlood()) if each.finding.kind == "addr_flood"]
    assert len(found) == 256


def test_peers_of_two_processes_are_not_mixed(rng):
    """After a restart of the node the same peer id is another connection: findings and queries say of which session they are,
    and the incident names both.
    """
    runner, book = Runner("alice", [AddrFlood()]), IncidentBook("alice")
    found = []
    for session, start in ((1, 0), (2, 100)):
        stream = Stream(Identity("alice", session, "usdt"))
        stream.node(at(start), "started", started=at(start), pid=session)
        stream.opened(at(start), 7, address=f"203.0.113.{session}:8333")
        flood(stream, rng, 7, start + 1, messages=50)
        found += runner.feed(stream.batch(at(start + 60)))
    floods = [each for each in found if each.finding.kind == "addr_flood"]
    assert {each.second > START + 100 for each in floods} == {True, False}
    for each in floods:
        assert each.finding.session == (2 if each.second > START + 100 else 1)
        assert f"session = {each.finding.session} AND" in each.finding.query
    (*_, last) = book.take(found, runner.elapsed)
    assert [(p.id, p.address) for p in last.peers] == [(7, "203.0.113.1:8333"), (7, "203.0.113.2:8333")]


def test_flooders_of_two_sessions_in_one_second_have_their_own_queries(rng):
    """In the second of a restart both processes may have flooders; each query names those of its session only."""
    runner, found = Runner("alice", [AddrFlood()]), []
    parts: list[list[Batch]] = []
    for session, peer in ((1, 7), (2, 8)):
        stream = Stream(Identity("alice", session, "usdt"))
        stream.opened(at(0), peer)
        flood(stream, rng, peer, 1, messages=40, every=0.2)
        parts.append(list(cut(stream.batch(at(9)), 5)))
    for both in zip(*parts, strict=True):
        for part in both:
            found += runner.feed(part)
    floods = [each.finding for each in found if each.finding.kind == "addr_flood"]
    assert {(f.session, "(7)" in f.query, "(8)" in f.query) for f in floods} == {(1, True, False), (2, False, True)}
