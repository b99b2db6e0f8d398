"""A whole simulation."""

from __future__ import annotations

import resource

import numpy as np
import pytest

from peerwatch.schema.batch import SECOND
from peerwatch.sources.simulation.events import Events
from peerwatch.sources.simulation.model import MINUTE
from peerwatch.sources.simulation.simulation import Plan, Simulation
from tests.unit.sources.simulation.seen import START, apart, plan, simulated


def fingerprint(plan: Plan) -> list[tuple[int, bytes, bytes]]:
    """End, headers and payloads of every window."""
    return [(w.end, w.events.head.tobytes(), w.events.bodies.compacted().buf.tobytes()) for w in Simulation(plan)]


def test_a_seed_is_a_simulation() -> None:
    """The same plan gives the same bytes, another seed other ones, and a longer one begins in the same way."""
    one = fingerprint(plan("addr-flood-2021", 300, options={"start_s": 60}))

    assert fingerprint(plan("addr-flood-2021", 300, options={"start_s": 60})) == one
    assert fingerprint(plan("addr-flood-2021", 300, seed=2, options={"start_s": 60}))[0][1] != one[0][1]
    assert fingerprint(plan("addr-flood-2021", 400, options={"start_s": 60}))[:5] == one


def test_time_goes_forward_to_the_very_end() -> None:
    """Windows follow each other, their events are ordered and lie within, and the last ends with the plan."""
    last = START
    for w in Simulation(plan(seconds=200.5)):
        ts = w.events.head["ts"].astype(np.int64)
        assert last <= ts[0]
        assert ts[-1] < w.end
        assert (np.diff(ts) >= 0).all()
        last = w.end
    assert last == START + round(200.5 * SECOND)


def test_traffic_is_there_from_the_start() -> None:
    """The first ten seconds are as full as any others: what is under way at the start is in them."""
    seen = simulated(seconds=600)
    first = sum(m.ts < START + 10 * SECOND for m in seen.messages)

    assert 0.6 < first / (len(seen.messages) / 60) < 1.5


def test_every_message_belongs_to_an_open_connection() -> None:
    """Nobody speaks before he is connected or after he is gone, and windows know the names of all who speak in them."""
    seen = simulated(seconds=3600)
    opened = {o.args["peer"]: o.ts for o in seen.probe("inbound_connection", "outbound_connection")}
    closed = {o.args["peer"]: o.ts for o in seen.probe("closed_connection")}
    first = min(opened)
    for m in seen.messages:
        assert m.peer in opened or m.peer < first
        assert m.ts >= opened.get(m.peer, 0)
        assert m.ts <= closed.get(m.peer, m.ts)
    for w in seen.windows:
        assert set(w.events.head["peer"][w.events.messages()].tolist()) <= w.names.keys()


def test_the_mix_is_that_of_a_node() -> None:
    """All types of an ordinary day are there, inventory first, between 60 and 130 messages a second."""
    seen = simulated(seconds=3600)
    counts: dict[str, int] = {}
    for m in seen.messages:
        counts[m.kind] = counts.get(m.kind, 0) + 1

    assert 60 < len(seen.messages) / 3600 < 130
    assert sorted(counts, key=counts.__getitem__)[-3:] == ["getdata", "tx", "inv"]
    names = (
        "version verack wtxidrelay sendaddrv2 getaddr addr addrv2 ping pong feefilter sendcmpct sendheaders getheaders headers "
        "cmpctblock inv getdata tx notfound"
    )
    assert counts.keys() >= set(names.split())


def test_load_makes_a_bigger_node() -> None:
    """Three times the peers are about three times the messages."""
    big = apart([w.events for w in Simulation(plan(seconds=60, load=3.0))])
    small = apart([w.events for w in Simulation(plan(seconds=60))])

    assert 2 < len(big.messages) / len(small.messages) < 4


def test_plans_that_cannot_be() -> None:
    """Durations and loads are positive, and scenarios and options exist; else one sentence says what is wrong."""
    with pytest.raises(ValueError, match="duration must be positive"):
        Simulation(plan(seconds=0))
    with pytest.raises(ValueError, match="load must be positive"):
        Simulation(plan(load=-1.0))
    with pytest.raises(ValueError, match="did you mean quiet"):
        Simulation(plan("quite"))
    with pytest.raises(ValueError, match="has no option speed; it has none"):
        Simulation(plan(options={"speed": 1}))


def test_the_truth_ends_with_the_plan() -> None:
    """An attack that is cut off by the end is labelled up to the last event that there was."""
    simulation = Simulation(plan("addr-flood-2021", 90, options={"start_s": 10}))
    everything = apart([Events.joined([w.events for w in simulation])])
    (attack,) = simulation.attacks()
    flood = [m.ts for m in everything.of("addr", inbound=True) if m.peer in attack.peers]

    assert (attack.first, attack.last) == (flood[0], flood[-1])
    assert attack.last < START + 90 * SECOND < attack.last + 2 * SECOND


def test_memory_does_not_grow() -> None:
    """What is kept between windows is small, and later windows need no more than earlier ones."""
    simulation = Simulation(plan(seconds=3600))
    kept = [len(simulation._later.bodies.buf) for _ in simulation]

    assert max(kept) < 2_000_000
    assert np.mean(kept[30:]) < 3 * np.mean(kept[:30]) + 500_000


@pytest.mark.soak
def test_a_quiet_day_fits_into_300_mb() -> None:
    """A simulated day of five to twelve million events, in bounded memory, of which nothing is kept."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    events = sum(len(w.events) for w in Simulation(Plan("quiet", 7, START, 1440 * MINUTE)))

    assert 5e6 < events < 12e6
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < max(300_000, before + 150_000)
