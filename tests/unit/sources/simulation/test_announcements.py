"""Messages that announce addresses."""

from __future__ import annotations

import numpy as np

from peerwatch.schema.batch import SECOND
from peerwatch.sources.simulation.addresses import IPV4, ONION, Addresses
from peerwatch.sources.simulation.announcements import Announcements, admit, first_of_each
from peerwatch.sources.simulation.model import Model
from peerwatch.sources.simulation.peers import PEER
from tests.unit.sources.simulation.seen import addresses, apart, column, rng


def said(counts: list[int], peers: list[int] | None = None, times: list[int] | None = None) -> Announcements:
    total = sum(counts)
    network = np.where(np.arange(total) % 2, ONION, IPV4).astype(np.uint8)
    what = Addresses(network, np.zeros((total, 32), np.uint8), np.arange(total, dtype=np.uint16), np.ones(total, np.uint64))
    ts = column(times or list(range(len(counts))))
    return Announcements(ts, column(peers or [5] * len(counts)), column(counts), what, np.arange(total))


def test_entries_are_taken_with_their_messages() -> None:
    """Dropping entries shortens their messages and drops those that become empty."""
    left = said([2, 1, 3]).only(np.array([True, False, False, True, True, False]))

    assert left.ts.tolist() == [0, 2]
    assert left.count.tolist() == [1, 2]
    assert left.what.port.tolist() == left.seen.tolist() == [0, 3, 4]
    assert said([2, 1, 3]).of(np.array([False, True, True])).seen.tolist() == [2, 3, 4, 5]


def test_each_peer_gets_what_it_understands() -> None:
    """`addrv2` with everything for those that take it, `addr` with IPv4 and IPv6 alone for the others, if any is left."""
    announced = said([3, 2, 1])
    out = apart(announced.events(np.array([True, False, False]), inbound=True)).messages

    assert [(m.ts, m.kind, len(addresses(m))) for m in out] == [(0, "addrv2", 3), (1, "addr", 1)]
    assert [e.port for m in out for e in addresses(m)] == [0, 1, 2, 4]


def test_the_rate_limit_is_cores() -> None:
    """Entries admitted, message by message, are those that a plain token bucket lets through (start 1, 0.1/s, at most 1000)."""
    random = rng(3)
    peers = np.zeros(3, PEER)
    peers["id"], peers["tokens"], peers["refilled"] = [2, 5, 9], [1.0, 1.0, 999.0], 0
    count = 200
    times = np.sort(random.integers(0, 3000, count)) * SECOND
    who = random.choice([2, 5, 9], count)
    announced = said(random.integers(1, 40, count).tolist(), who.tolist(), times.tolist())

    bucket = {2: [1.0, 0], 5: [1.0, 0], 9: [999.0, 0]}
    expected = []
    for ts, peer, n in zip(times.tolist(), who.tolist(), announced.count.tolist(), strict=True):
        tokens = min(bucket[peer][0] + (ts - bucket[peer][1]) / SECOND * 0.1, 1000)
        passed = min(n, int(tokens))
        bucket[peer] = [tokens - passed, ts]
        expected.append(passed)
    assert admit(Model(), peers, announced).tolist() == expected
    assert 0 < sum(expected) < int(announced.count.sum())


def test_the_first_entries_of_a_message_are_let_through() -> None:
    """A mask of entries from a number for each message."""
    assert first_of_each(said([3, 2]), column([2, 0])).tolist() == [True, True, False, False, False]
