"""The address flood of 2021."""

from __future__ import annotations

import numpy as np
import pytest

from peerwatch.schema.batch import SECOND
from peerwatch.sources.simulation.events import Events
from peerwatch.sources.simulation.simulation import Simulation
from tests.unit.sources.simulation.seen import START, Message, Seen, addresses, apart, plan

OPTIONS = {"start_s": 30, "duration_s": 120, "peers": 4, "rate": 2}


@pytest.fixture(scope="module")
def seen() -> Seen:
    simulation = Simulation(plan("addr-flood-2021", 240, options=OPTIONS))
    events = Events.joined([w.events for w in simulation])
    return apart([events], simulation.attacks())


def flood(seen: Seen) -> list[Message]:
    """Messages of the labelled peers."""
    return [m for m in seen.of("addr", inbound=True) if m.peer in seen.attacks[0].peers]


def test_labels_name_exactly_the_flooders(seen: Seen) -> None:
    """Four peers by id and address; who else gossips sends a few addresses a minute at most."""
    (attack,) = seen.attacks
    opened = {o.args["peer"]: o.args["address"].decode() for o in seen.probe("inbound_connection")}
    counts: dict[int, int] = {}
    for m in seen.of("addr", "addrv2", inbound=True):
        if len(m.body) < 500:
            counts[m.peer] = counts.get(m.peer, 0) + len(addresses(m))

    assert len(attack.peers) == 4
    assert all(opened[peer] == address for peer, address in attack.peers.items())
    assert {peer for peer, n in counts.items() if n > 60} == set(attack.peers)
    assert (attack.first, attack.last) == (flood(seen)[0].ts, flood(seen)[-1].ts)
    assert len({a.split(".")[0] + "." + a.split(".")[1] for a in attack.peers.values()}) == 4


def test_messages_are_as_in_2021(seen: Seen) -> None:
    """8, 9, 9 and then always ten entries, at the chosen rate for the chosen time, after a handshake within the first seconds."""
    for peer in seen.attacks[0].peers:
        mine = [m for m in flood(seen) if m.peer == peer]
        gaps = np.diff([m.ts for m in mine]) / SECOND
        assert [len(addresses(m)) for m in mine] == [8, 9, 9] + [10] * 237
        assert abs(gaps.mean() - 0.5) < 0.01
        assert gaps.std() / gaps.mean() < 0.3, "sending is regular"
        assert START + 30 * SECOND < mine[0].ts < START + 37 * SECOND
        before = [m.kind for m in seen.messages if m.peer == peer and m.ts < mine[0].ts]
        assert before[:2] == ["version", "version"]
        assert "getaddr" not in before


def test_addresses_are_uniform_and_from_the_future(seen: Seen) -> None:
    """All of IPv4 alike, an eighth of it in 224/3, seen now or up to nine minutes ahead, hardly one twice."""
    entries = [(m.ts // SECOND, e) for m in flood(seen) for e in addresses(m)]
    first = np.array([e.key[0] for _, e in entries])
    ahead = np.array([e.time - now for now, e in entries])

    assert abs(np.mean(first >= 224) - 1 / 8) < 0.015
    expected = len(first) / 256
    assert ((np.bincount(first, minlength=256) - expected) ** 2 / expected).sum() < 350, "chi-squared of 255 degrees of freedom"
    assert (ahead.min(), ahead.max()) == (0, 540)
    assert len({e.key for _, e in entries}) > 0.999 * len(entries)


def test_it_ends(seen: Seen) -> None:
    """Flooders disconnect when they are done; the node passes on no more than its rate limit lets through."""
    (attack,) = seen.attacks
    closed = {o.args["peer"]: o.ts for o in seen.probe("closed_connection")}
    forged = {e.key + e.port.to_bytes(2, "big") for m in flood(seen) for e in addresses(m)}
    sent = [
        e for m in seen.of("addr", "addrv2", inbound=False) for e in addresses(m) if e.key + e.port.to_bytes(2, "big") in forged
    ]

    assert attack.peers.keys() <= closed.keys()
    assert attack.last < START + 160 * SECOND
    assert 0 < len(sent) < 2 * 4 * (2 + 0.1 * 130)


def test_it_fits_into_a_minute() -> None:
    """A demonstration shows quiet, flood and quiet again."""
    simulation = Simulation(plan("addr-flood-2021", 60, options={"start_s": 15, "duration_s": 20, "rate": 5}))
    list(simulation)
    (attack,) = simulation.attacks()

    assert len(attack.peers) == 5
    assert START + 15 * SECOND < attack.first < attack.last < START + 45 * SECOND


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"rate": 0}, "rate of scenario addr-flood-2021 must be positive"),
        ({"peers": -1}, "peers of"),
        ({"start_s": -1}, "start_s of"),
        ({"rate": 1000}, "at most 2000 messages a second"),
    ],
)
def test_what_is_no_flood_is_refused(options: dict[str, float], why: str) -> None:
    """Values that make no sense, or would need more memory than there is, are a sentence."""
    with pytest.raises(ValueError, match=why):
        Simulation(plan("addr-flood-2021", options=options))


def test_before_it_begins_there_is_no_attack() -> None:
    """Labels speak of what has happened."""
    simulation = Simulation(plan("addr-flood-2021", 20, options=OPTIONS))
    list(simulation)

    assert simulation.attacks() == []
