"""The opening of connections."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest

from peerwatch.schema.batch import SECOND
from peerwatch.sources.simulation.addresses import IPV4, ONION
from peerwatch.sources.simulation.chain import Chain
from peerwatch.sources.simulation.events import Events
from peerwatch.sources.simulation.handshake import OUR_AGENT, OUR_SERVICES, Handshake, Own, v1_address
from peerwatch.sources.simulation.model import FAR, Model
from peerwatch.sources.simulation.peers import TIMERS, new_peer
from peerwatch.sources.simulation.personas import BLOCK_RELAY, FEELER, FULL_RELAY, Hello, Persona
from tests.unit.sources.simulation.seen import START, Message, apart, rng

OWN = Own(bytes([25, 1, 2, 3]))
NODE = Persona("8.8.4.4:50123", IPV4, user_agent="/Satoshi:28.1.0/", skew_s=-7, height_lag=2)


def opening(who: Persona) -> tuple[list[Message], np.void]:
    """What is said when `who` and we connect, and its row afterwards."""
    peers = new_peer(40, START, who, 0.5)
    made = Handshake(rng(), Model(), Chain(rng(), START), OWN).run(peers, {40: who})
    said = sorted(apart([Events.joined(made)]).messages, key=lambda m: m.ts)
    return said, peers[0]


def kinds(said: list[Message]) -> list[str]:
    return [("<" if m.inbound else ">") + m.kind for m in said]


def version(body: bytes) -> tuple[int, int, int, bytes, int, bytes, int, bool]:
    """Protocol, services, time, receiver's address and port, user agent, height, relay flag."""
    protocol, services, time = struct.unpack_from("<iQq", body)
    (port,) = struct.unpack_from(">H", body, 44)
    end = 81 + body[80]
    height, relay = struct.unpack_from("<i?", body, end)
    assert len(body) == end + 5
    assert body[54:72] == bytes(18), "Core sends no address of its own"
    return protocol, services, time, body[28:44], port, body[81:end], height, relay


def test_an_inbound_full_node() -> None:
    """The peer speaks first, then we, feature by feature, and after the veracks both ask for headers and say what they want."""
    said, row = opening(NODE)

    assert kinds(said)[:10] == ["<version", ">version", ">wtxidrelay", ">sendaddrv2", ">verack",
                                "<wtxidrelay", "<sendaddrv2", "<verack", "<getaddr", ">sendcmpct"]  # fmt: skip
    assert set(kinds(said)[10:]) == {"<sendcmpct", ">getheaders", "<getheaders", ">headers", "<headers", ">sendheaders",
                                     "<sendheaders", ">feefilter", "<feefilter"}  # fmt: skip
    verack = next(m.ts for m in said if m.kind == "verack" and m.inbound)
    assert verack <= row["ready"] < verack + SECOND // 1000
    assert all(row[timer] > row["ready"] for timer in TIMERS)


def test_versions_say_who_is_who() -> None:
    """Software, services, height, clock and our address as the peer sees it; and its address as we see it, where it has one."""
    said, _ = opening(NODE)
    theirs, ours = version(said[0].body), version(said[1].body)
    height = Chain(rng(), START).height

    assert theirs[:3] == (70016, NODE.services, said[0].ts // SECOND - 7)
    assert theirs[3:] == (bytes(10) + b"\xff\xff" + OWN.ip, 8333, b"/Satoshi:28.1.0/", height - 2, True)
    assert ours[:3] == (70016, OUR_SERVICES, said[1].ts // SECOND)
    assert ours[3:] == (bytes(10) + b"\xff\xff\x08\x08\x04\x04", 50123, OUR_AGENT, height, True)
    assert v1_address(replace(NODE, network=ONION, address="127.0.0.1:5")) == (bytes(16), 0)
    assert v1_address(replace(NODE, network=2, address="[2001:db8::1]:5")) == (bytes.fromhex("20010db8") + bytes(11) + b"\1", 5)


@pytest.mark.parametrize(("conn_type", "asks"), [(FULL_RELAY, True), (BLOCK_RELAY, False)])
def test_an_outbound_peer(conn_type: str, asks: bool) -> None:  # noqa: FBT001 - a row of the table
    """We speak first and ask for addresses, except over block-relay-only connections, which also have no fee filter of ours."""
    said, row = opening(replace(NODE, conn_type=conn_type, asks_addrs=False))

    assert kinds(said)[:2] == [">version", "<version"]
    assert (">getaddr" in kinds(said)) == asks
    assert (">feefilter" in kinds(said)) == asks
    assert version(said[0].body)[-1] == asks
    assert "<getaddr" not in kinds(said)
    assert row["ready"] < FAR


def test_a_feeler_ends_with_the_version() -> None:
    """We send our features and a getaddr, as Core does, and nothing of the peer's is processed after its version."""
    said, row = opening(replace(NODE, conn_type=FEELER, hello=Hello.VERSION, stay=NODE.rtt + 3_000_000))

    assert kinds(said) == [">version", "<version", ">wtxidrelay", ">sendaddrv2", ">verack", ">getaddr"]
    assert said[-1].ts < row["leaves"]
    assert row["ready"] == FAR


def test_old_and_light_peers_know_less() -> None:
    """To protocol 70015 we say neither wtxidrelay nor sendaddrv2; a light client announces no headers and no fee filter."""
    light = replace(NODE, protocol=70015, wtxid=False, addrv2=False, has_blocks=False, announces_tx=False, asks_addrs=False)
    said, _ = opening(light)

    assert kinds(said) == ["<version", ">version", ">verack", "<verack", ">sendcmpct", ">feefilter"]


def test_some_say_nothing() -> None:
    """A peer that never greets leaves no message."""
    assert opening(replace(NODE, hello=Hello.NONE))[0] == []


def test_one_that_wants_compact_blocks_says_so_later() -> None:
    """`sendcmpct` with the high-bandwidth flag comes after the first one without."""
    said, _ = opening(replace(NODE, wants_compact=True))
    flags = [m.body[0] for m in said if m.kind == "sendcmpct" and m.inbound]

    assert flags == [0, 1]
