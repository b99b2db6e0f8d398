"""Answers to getaddr."""

from __future__ import annotations

from peerwatch.sources.simulation.addresses import IPV4
from peerwatch.sources.simulation.handshake import OUR_SERVICES
from tests.unit.sources.simulation.seen import Message, addresses, simulated


def ours() -> list[Message]:
    """Our answers: the big messages that we send."""
    return [m for m in simulated(seconds=1200).of("addr", "addrv2", inbound=False) if len(m.body) > 9000]


def test_who_asks_is_answered_once() -> None:
    """Every inbound peer that asks and stays gets one message of at most a thousand addresses right after its getaddr."""
    seen = simulated(seconds=1200)
    asked = {m.peer: m.ts for m in seen.of("getaddr", inbound=True)}
    answered = {m.peer: m.ts for m in ours()}

    assert len(ours()) == len(answered) > 10
    assert all(0 < ts - asked[peer] < 10**9 for peer, ts in answered.items())
    assert {len(addresses(m)) for m in ours() if m.kind == "addrv2"} == {1000}


def test_everybody_is_told_the_same_and_of_us() -> None:
    """Answers come out of a cache that is a day old at most; only our own address is elsewhere in each."""
    told = [addresses(m) for m in ours() if m.kind == "addrv2"]
    own = {e for e in told[0] if e.services == OUR_SERVICES and e.network == IPV4 and e.key[0] == 25}

    assert len(own) == 1
    key = own.pop().key
    assert all(sum(e.key == key for e in answer) == 1 for answer in told)
    assert all(len(set(answer) ^ set(told[0])) <= 4 for answer in told)


def test_outbound_peers_answer_us() -> None:
    """A full-relay peer that we connect to is asked and sends its thousand; a block-relay-only peer is not asked."""
    seen = simulated(seconds=3600)
    opened = {o.args["peer"]: o.args["conn_type"] for o in seen.probe("outbound_connection")}
    asked = {m.peer for m in seen.of("getaddr", inbound=False)}
    big = {m.peer for m in seen.of("addr", "addrv2", inbound=True) if len(addresses(m)) > 200}

    assert big
    assert {opened[p] for p in big} == {b"outbound-full-relay"}
    assert {opened[p] for p in asked} == {b"outbound-full-relay", b"feeler"}
