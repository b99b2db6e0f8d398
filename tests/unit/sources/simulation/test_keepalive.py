"""Pings, pongs and fee filters."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from peerwatch.schema.batch import SECOND
from tests.unit.sources.simulation.seen import simulated


def test_every_ping_has_its_pong() -> None:
    """The answer has the same nonce and goes the other way within seconds; it lacks only where a connection or the time ends."""
    seen = simulated(seconds=1200)
    pings = {(m.peer, not m.inbound, m.body): m.ts for m in seen.of("ping")}
    pongs = {(m.peer, m.inbound, m.body): m.ts for m in seen.of("pong")}
    late = [key for key in pongs if key not in pings]

    assert len(pings) > 1500
    assert all(0 < pongs[key] - ts < 20 * SECOND for key, ts in pings.items() if key in pongs)
    assert len(pings.keys() - pongs.keys()) < 0.01 * len(pings)
    assert all(pongs[key] < seen.messages[0].ts + 20 * SECOND for key in late), "only of pings before the start"


def test_pings_come_every_two_minutes() -> None:
    """Never sooner than PING_INTERVAL, and at most the 100 ms later that a loop takes; the first right after the handshake."""
    seen = simulated(seconds=1200)
    times: dict[tuple[int, bool], list[int]] = defaultdict(list)
    for m in seen.of("ping"):
        times[m.peer, m.inbound].append(m.ts)
    gaps = np.concatenate([np.diff(t) for t in times.values()]) / SECOND
    verack = {m.peer: m.ts for m in seen.of("verack", inbound=True)}

    assert gaps.min() >= 120.0
    assert gaps.max() <= 120.2
    starting = [t[0] - verack[p] for (p, _), t in times.items() if p in verack]
    assert len(starting) > 20
    assert max(starting) < SECOND
    assert all(len(m.body) == 8 for m in seen.of("ping", "pong"))


def test_fee_filters_are_looked_at_every_ten_minutes() -> None:
    """After the one of the handshake a peer sends few, of at least the minimum relay fee; block-relay-only peers get none."""
    seen = simulated(seconds=3600)
    filters = seen.of("feefilter")
    outbound = {p for w in seen.windows for p, n in w.names.items() if n.conn_type == b"block-relay-only"}
    per_peer_hour = len([m for m in filters if not m.inbound]) / 90

    assert 1.0 < per_peer_hour < 6.0
    assert all(100 <= int.from_bytes(m.body, "little") < 300 for m in filters)
    assert not outbound & {m.peer for m in filters}
