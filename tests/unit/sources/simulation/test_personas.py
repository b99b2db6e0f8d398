"""Who is at the other end."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from peerwatch.schema.batch import SECOND
from peerwatch.sources.simulation.addresses import IPV4, ONION, Pool
from peerwatch.sources.simulation.model import DAY, MINUTE, Model
from peerwatch.sources.simulation.personas import BLOCK_RELAY, FEELER, FULL_RELAY, INBOUND, Crowd, Hello
from tests.unit.sources.simulation.seen import rng


@pytest.fixture
def crowd() -> Crowd:
    return Crowd(rng(1), Pool(rng(2), 3000), Model())


def test_all_kinds_of_peers_arrive(crowd: Crowd) -> None:
    """Full nodes, block-relay-only ones, light clients, crawlers, feelers and silent ones, over all networks."""
    many = [crowd.inbound() for _ in range(3000)]

    assert {p.conn_type for p in many} == {INBOUND}
    assert len({p.network for p in many}) == 5
    assert min(Counter(p.hello for p in many)[h] for h in Hello) > 100
    light = [p for p in many if p.wants_tx and not p.announces_tx and p.hello is Hello.FULL]
    crawlers = [p for p in many if p.asks_addrs and not p.addr_relay and p.hello is Hello.FULL]
    blocks = [p for p in many if p.has_blocks and not p.wants_tx and p.hello is Hello.FULL]
    assert min(len(light), len(crawlers), len(blocks)) > 100
    assert all(p.services & 1 == 0 for p in light + crawlers), "neither light clients nor crawlers serve the chain"
    assert all(p.stay < 5 * MINUTE for p in crawlers)


def test_onion_peers_look_local(crowd: Crowd) -> None:
    """Tor hands its connections over from this machine, so their address is loopback; all others have their own."""
    many = [crowd.inbound() for _ in range(500)]

    assert all(p.address.startswith("127.0.0.1:") == (p.network == ONION) for p in many)


def test_stays_are_heavy_tailed(crowd: Crowd) -> None:
    """Full nodes stay minutes as a rule, days at times; residents, whom one meets, stay far longer than those who arrive."""
    arriving = np.array([p.stay for p in (crowd.inbound() for _ in range(6000)) if p.announces_tx and p.hello is Hello.FULL])
    residing = np.array([crowd.resident().stay for _ in range(400)])

    assert 3 < np.median(arriving) / MINUTE < 12
    assert arriving.mean() > 4 * np.median(arriving)
    assert arriving.max() > DAY
    assert np.median(residing) > 10 * np.median(arriving)
    assert residing.max() <= 30 * DAY


def test_peers_of_ours_are_listening_nodes(crowd: Crowd) -> None:
    """Outbound peers have an address of the pool; relaying ones gossip at an honest rate; a feeler stays for a handshake."""
    relaying, blocks, feeler = (crowd.outbound(kind, stay) for kind, stay in ((FULL_RELAY, DAY), (BLOCK_RELAY, DAY), (FEELER, 0)))

    assert min(p.listed for p in (relaying, blocks, feeler)) >= 0
    assert 0.005 <= relaying.addr_rate <= 0.025
    assert (blocks.announces_tx, blocks.addr_relay, blocks.addr_rate) == (False, False, 0.0)
    assert feeler.rtt < feeler.stay < feeler.rtt + SECOND // 100
    assert relaying.stay == DAY


def test_old_software_has_no_new_features(crowd: Crowd) -> None:
    """0.20 speaks protocol 70015, without wtxidrelay and addrv2; everybody else has both."""
    full = [p for p in (crowd.inbound() for _ in range(3000)) if p.announces_tx and p.hello is Hello.FULL]
    old = [p for p in full if p.user_agent == "/Satoshi:0.20.1/"]

    assert old
    assert {(p.protocol, p.wtxid, p.addrv2) for p in old} == {(70015, False, False)}
    assert {(p.protocol, p.wtxid, p.addrv2) for p in full if p not in old} == {(70016, True, True)}


def test_few_clocks_are_off(crowd: Crowd) -> None:
    """Most peers know the time, some do not."""
    skews = np.array([p.skew_s for p in (crowd.inbound() for _ in range(4000)) if p.network == IPV4 and p.announces_tx])

    assert np.mean(np.abs(skews) <= 3) > 0.9
    assert np.abs(skews).max() > 60
