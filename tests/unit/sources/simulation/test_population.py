"""Who is connected when."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from peerwatch.schema.batch import SECOND
from peerwatch.sources.simulation.addresses import IPV4, Pool
from peerwatch.sources.simulation.model import DAY, FAR, MINUTE, Model
from peerwatch.sources.simulation.peers import Span
from peerwatch.sources.simulation.personas import Crowd, Persona
from peerwatch.sources.simulation.population import WARM_IDS, Population, Visit
from tests.unit.sources.simulation.seen import START, Other, apart, rng, simulated


def population(model: Model) -> Population:
    return Population(rng(1), Crowd(rng(2), Pool(rng(3), 3000), model), model, START)


def live(model: Model, minutes: int, visits: dict[int, list[Visit]]) -> tuple[Population, list[Other]]:
    people, others = population(model), []
    for n in range(minutes):
        span = Span(START + n * MINUTE, START + (n + 1) * MINUTE)
        others += sorted(apart([people.advance(span, visits.get(n, []))]).others, key=lambda o: o.ts)
    return people, others


def test_a_node_that_has_run_for_weeks() -> None:
    """It has its ten outbound and many inbound peers, with ids in order of their age, and all are past the handshake."""
    people = population(Model())
    kinds = Counter(n.conn_type for n in people.names.values())

    assert kinds == {b"outbound-full-relay": 8, b"block-relay-only": 2, b"inbound": 95}
    assert (np.diff(people.peers["opened"]) >= 0).all()
    assert (np.diff(people.peers["id"]) > 0).all()
    assert people.peers["id"].max() < WARM_IDS
    assert (people.peers["ready"] <= START).all()
    assert (people.peers["leaves"] >= START).all()


def test_ids_ascend_and_counts_are_right() -> None:
    """Every new connection has the next id, and the probe counts those of its direction, itself included."""
    seen = simulated(seconds=3600)
    opened = seen.probe("inbound_connection", "outbound_connection")
    first = seen.windows[0].names
    count = {d: sum((n.conn_type == b"inbound") == d for p, n in first.items()) for d in (True, False)}
    arrived = {o.args["peer"] for o in opened if o.ts < seen.windows[0].end}
    for p in arrived:
        count[first[p].conn_type == b"inbound"] -= 1

    assert [o.args["peer"] for o in opened] == list(range(opened[0].args["peer"], opened[0].args["peer"] + len(opened)))
    for o in seen.probe("inbound_connection", "outbound_connection", "closed_connection"):
        inbound = o.args["conn_type"] == b"inbound"
        count[inbound] += -1 if o.probe == "closed_connection" else 1
        if o.probe != "closed_connection":
            assert o.args["open_connections"] == count[inbound]


def test_connections_end_once_and_say_since_when_they_were() -> None:
    """Everyone that closes was there, once; the time of its opening is told in seconds."""
    seen = simulated(seconds=3600)
    opened = {o.args["peer"]: o for o in seen.probe("inbound_connection", "outbound_connection")}
    closed = seen.probe("closed_connection")

    assert len({o.args["peer"] for o in closed}) == len(closed) > 100
    for o in closed:
        if (begin := opened.get(o.args["peer"])) is not None:
            assert o.args["established"] == begin.ts // SECOND
            assert all(o.args[a] == begin.args[a] for a in ("address", "conn_type", "network"))
        else:
            assert o.args["established"] < START // SECOND


def test_outbound_connections_are_replaced() -> None:
    """When one that lasts ends, another of its type follows within a minute or so; feelers come about every two minutes."""
    seen = simulated(seconds=3600)
    opened = Counter(o.args["conn_type"] for o in seen.probe("outbound_connection"))
    relays = {p for p, n in seen.windows[-1].names.items() if n.conn_type == b"outbound-full-relay"}

    assert 12 < opened[b"feeler"] < 60
    assert opened[b"outbound-full-relay"] > 0
    assert opened[b"block-relay-only"] > 5
    assert len(relays) in (7, 8)
    sides = [p for p in seen.probe("closed_connection") if p.args["conn_type"] == b"feeler"]
    assert max(o.ts - o.args["established"] * SECOND for o in sides) < 10 * SECOND


def test_a_full_node_evicts_before_it_accepts() -> None:
    """Never more than the slots; each eviction is followed by the close of that peer, and by the connection that it was for."""
    model = replace(Model(), inbound_slots=60, warm_inbound=60, arrivals_per_min=0.0)
    newcomer = Persona("9.9.9.9:1000", IPV4, stay=DAY)
    people, others = live(model, 3, {1: [Visit(START + MINUTE + n * SECOND, newcomer, number=n) for n in range(20)]})
    evicted = [o for o in others if o.probe == "evicted_inbound_connection"]
    closed = {o.args["peer"]: o.ts for o in others if o.probe == "closed_connection"}

    assert 15 < len(evicted) <= 20
    assert all(0 < closed[o.args["peer"]] - o.ts <= SECOND // 20 for o in evicted)
    assert max(o.args["open_connections"] for o in others if o.probe == "inbound_connection") <= 60
    assert np.count_nonzero(people.peers["inbound"] & (people.peers["closes"] == FAR)) <= 60


def test_who_cannot_be_placed_leaves_no_trace() -> None:
    """When nobody can be evicted, a connection is refused without an id, as Core does."""
    model = replace(Model(), inbound_slots=5, warm_inbound=5, arrivals_per_min=0.0)
    _, others = live(model, 1, {0: [Visit(START + SECOND, Persona("9.9.9.9:1000", IPV4))]})

    assert [o for o in others if o.probe in ("inbound_connection", "evicted_inbound_connection")] == []


def test_visits_keep_their_number() -> None:
    """A scenario finds its visitors again by the number that it gave them, and for as long as they stay."""
    visit = Visit(START + SECOND, Persona("9.9.9.9:1000", IPV4, stay=90 * SECOND), number=42)
    people, _ = live(replace(Model(), arrivals_per_min=0.0), 2, {0: [visit]})

    assert people.peers["visit"].tolist().count(42) == 1
    assert people.peers["closes"][people.peers["visit"] == 42].tolist() == [START + 91 * SECOND]
