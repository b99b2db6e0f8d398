"""Address gossip of honest peers."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from peerwatch.schema.batch import SECOND
from tests.unit.sources.simulation.seen import Message, addresses, simulated


def test_honest_peers_stay_within_cores_rate_limit() -> None:
    """With a bucket as a new observer must assume it, nobody is ever over by what would be worth a notice (20 addresses)."""
    seen = simulated(seconds=3600)
    tokens: dict[int, float] = {}
    last: dict[int, int] = {}
    over: dict[int, float] = defaultdict(float)
    opened = {o.args["peer"]: o.ts for o in seen.probe("inbound_connection", "outbound_connection")}
    for m in seen.of("getaddr", "addr", "addrv2"):
        if m.kind == "getaddr":
            if not m.inbound:
                tokens[m.peer] = tokens.get(m.peer, 1.0) + 1000
        elif m.inbound:
            begun = last.get(m.peer, opened.get(m.peer, seen.messages[0].ts))
            have = min(tokens.get(m.peer, 1.0) + (m.ts - begun) / SECOND * 0.1, 2000)
            count = len(addresses(m))
            if m.peer in opened:
                assert count <= have + 1e-6, "a peer seen from its start is never over"
            over[m.peer] += max(0.0, count - int(have))
            tokens[m.peer], last[m.peer] = max(have - count, have - int(have)), m.ts

    assert len(over) > 70
    assert max(over.values()) < 20


def test_rates_and_sizes_are_those_of_the_network() -> None:
    """0.005 to 0.025 addresses a second from a peer on average, in messages of at most ten, most of them of one or two."""
    seen = simulated(seconds=3600)
    small = [m for m in seen.of("addr", "addrv2", inbound=True) if len(addresses(m)) <= 10]
    sizes = np.array([len(addresses(m)) for m in small])
    relaying = len({m.peer for m in small})

    assert sizes.max() <= 10
    assert np.mean(sizes <= 2) > 0.7
    assert 0.005 < sizes.sum() / 3600 / relaying < 0.025
    assert {m.kind for m in small} == {"addr", "addrv2"}


def test_addresses_were_seen_lately_and_by_clocks_that_are_mostly_right() -> None:
    """Announced addresses are at most ten minutes old and few are ahead of time; those of answers are up to 30 days old."""
    seen = simulated(seconds=3600)
    fresh = [m for m in seen.of("addr", "addrv2", inbound=True) if len(m.body) < 500]
    answers = [m for m in seen.of("addrv2", inbound=False) if len(m.body) > 9000]
    ages = np.array([m.ts // SECOND - e.time for m in fresh for e in addresses(m)])
    old = np.array([m.ts // SECOND - e.time for m in answers for e in addresses(m)])

    assert np.quantile(ages, 0.98) < 700
    assert 0 < np.mean(ages < -60) < 0.03
    assert old.max() < 31 * 86400
    assert old.min() >= 0


def test_nobody_announces_addresses_where_only_blocks_are_relayed() -> None:
    """Neither peers to whom we connected for blocks only, nor those that so connected to us (Core: MaybeSendAddr)."""
    seen = simulated(seconds=3600)
    ours = {o.args["peer"] for o in seen.probe("outbound_connection") if o.args["conn_type"] == b"block-relay-only"}
    ours &= {m.peer for m in seen.of("sendheaders", inbound=True)}
    theirs = {m.peer for m in seen.of("version", inbound=True) if m.body[-1] == 0} & {
        m.peer for m in seen.of("sendheaders", inbound=True)
    }
    assert len(ours) > 5
    assert len(theirs - ours) > 5
    assert not (ours | theirs) & {m.peer for m in seen.of("addr", "addrv2")}


def test_peers_announce_themselves_after_the_handshake() -> None:
    """Most full nodes that come say first where they are, alone in a message, and so do we to them."""
    seen = simulated(seconds=3600)
    opened = {o.args["peer"]: o.ts for o in seen.probe("inbound_connection")}
    relays = (
        {m.peer for m in seen.of("getaddr", inbound=True)}
        & {m.peer for m in seen.of("sendheaders", inbound=True)}
        & opened.keys()
    )
    first: dict[int, Message] = {}
    for m in seen.of("addr", "addrv2", inbound=True):
        first.setdefault(m.peer, m)
    prompt = [p for p in relays if p in first and first[p].ts - opened[p] < 10 * SECOND]

    assert len(prompt) > 0.5 * len(relays) > 10
    assert {len(addresses(first[p])) for p in prompt} == {1}
    ours = {m.peer for m in seen.of("addr", "addrv2", inbound=False) if m.ts - opened.get(m.peer, 0) < 10 * SECOND}
    assert len(ours & relays) > 0.9 * len(relays)


def test_what_comes_fresh_goes_on_to_others() -> None:
    """About two messages' worth of addresses leave for one that comes, less what has been passed on before."""
    seen = simulated(seconds=3600)
    came = sum(len(addresses(m)) for m in seen.of("addr", "addrv2", inbound=True) if len(m.body) < 500)
    went = sum(len(addresses(m)) for m in seen.of("addr", "addrv2", inbound=False) if len(m.body) < 500)

    assert 1.2 < went / came < 2.2
