"""The table of connections."""

from __future__ import annotations

import numpy as np
import pytest

from peerwatch.schema.batch import SECOND
from peerwatch.sources.simulation.addresses import CJDNS, I2P, IPV4, IPV6, ONION
from peerwatch.sources.simulation.model import FAR, MINUTE
from peerwatch.sources.simulation.peers import PEER, Span, netgroup, new_peer, run_out
from peerwatch.sources.simulation.personas import Persona
from tests.unit.sources.simulation.seen import START, column, rng


def test_a_new_peer_has_nothing_behind_it() -> None:
    """It is open, not ready, without timers, with the one token that Core gives."""
    row = new_peer(5, START, Persona("1.2.3.4:5", IPV4, stay=SECOND, listed=8, skew_s=3), 0.25)[0]

    assert (row["id"], row["opened"], row["leaves"], row["closes"], row["ready"]) == (5, START, START + SECOND, FAR, FAR)
    assert (row["ping_in"], row["announce_out"], row["tokens"], row["listed"], row["skew_s"]) == (FAR, FAR, 1.0, 8, 3)
    assert (row["inbound"], row["hidden"], row["visit"]) == (True, False, -1)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("1.2.3.4:5", IPV4), ("1.2.200.1:7", IPV4), True),
        (("1.2.3.4:5", IPV4), ("1.3.3.4:5", IPV4), False),
        (("[2a01:4f8:1::1]:5", IPV6), ("[2a01:4f8:2::9]:5", IPV6), True),
        (("[2a01:4f8:1::1]:5", IPV6), ("[2a01:4f9:1::1]:5", IPV6), False),
        (("127.0.0.1:5", ONION), ("127.0.0.1:6", ONION), True),
        (("abc.b32.i2p:0", I2P), ("[fc00::1]:5", CJDNS), False),
    ],
)
def test_netgroups_are_cores(one: tuple[str, int], other: tuple[str, int], same: bool) -> None:  # noqa: FBT001 - a row of the table
    """/16 of IPv4, /32 of IPv6, and the network itself where an address says nothing of the place."""
    assert (netgroup(Persona(*one)) == netgroup(Persona(*other))) == same


def test_a_timer_runs_out_once_a_span() -> None:
    """Who was due is due again later, not within the same span; the others keep their time."""
    peers = np.zeros(3, PEER)
    peers["fee_in"] = [START, START + MINUTE, START + 5]
    due, at = run_out(rng(), Span(START, START + MINUTE), peers, "fee_in", 1e-6)

    assert due.tolist() == [0, 2]
    assert at.tolist() == [START, START + 5]
    assert (peers["fee_in"] >= START + MINUTE).all()
    assert peers["fee_in"][1] == START + MINUTE


def test_a_span_includes_its_start_alone() -> None:
    """Seconds, and which times are in it."""
    span = Span(START, START + MINUTE)

    assert span.seconds == 60
    assert span.has(column([START - 1, START, START + MINUTE - 1, START + MINUTE])).tolist() == [False, True, True, False]
