"""Rules about when a message may come: each is broken by what it speaks of, and by nothing that is right."""

from __future__ import annotations

from typing import Any

import pytest

from peerwatch.peers.states import BEFORE_VERACK, CARE, RULES, TYPE, UNKNOWN, Care
from peerwatch.wire.raw import KNOWN_TYPES
from tests.builders import Stream, at
from tests.reference.talk import told

BLOOM, FILTERS = 4, 64
Step = tuple[bool, str] | tuple[bool, str, dict[str, Any]]
"""Who says it (True: the peer), its type, and more of it."""
IN, OUT = True, False
INV_TX: dict[str, Any] = {"inventory": [{"peer": 1, "inbound": True, "idx": 0, "message": "inv", "kind": 5, "item": 7}]}
INV_BLOCK: dict[str, Any] = {"inventory": [{"peer": 1, "inbound": True, "idx": 0, "message": "inv", "kind": 2, "item": 7}]}


def weirds(*steps: Step, conn_type: str = "inbound", services: int = 0, shake: bool = True) -> list[tuple[str, str, bool]]:
    """Kind, type and direction of what is weird when a connection opens, shakes hands (unless not) and says `steps`."""
    stream, now = Stream(), 0.1
    stream.opened(at(now), 1, conn_type=conn_type)
    opener = conn_type == "inbound"
    hands = [(opener, "version"), (not opener, "version"), (opener, "verack"), (not opener, "verack")] if shake else []
    for side, kind, *more in [*hands, *steps]:
        now += 0.01
        row = {"peer": 1, "inbound": side, "protocol": 70016, "services": services, "time": at(0) // 10**9, "user_agent": "/x/"}
        own: dict[str, Any] = dict(more[0]) if more else {}
        own |= {"version": [row]} if kind == "version" else {}
        stream.message(at(now), 1, kind, inbound=side, **own)
    return [(r["kind"], r["type"], r["inbound"]) for r in told(stream, 3).get("weird", [])]


def test_a_right_handshake_is_not_weird() -> None:
    """Everything that may come in a handshake and after it, from both sides."""
    early = [(IN, "version"), (OUT, "version"), *((IN, kind) for kind in BEFORE_VERACK[2:]), (IN, "verack"), (OUT, "verack")]
    late = [(side, kind) for side in (IN, OUT) for kind in ("inv", "getdata", "tx", "addr", "ping", "headers", "feefilter")]
    assert weirds(*early, (IN, "getaddr"), *late, shake=False, services=BLOOM) == []


CASES: list[tuple[str, dict[str, Any], list[Step], list[str]]] = [
    ("version_repeated", {}, [(IN, "version")], ["version"]),
    ("before_version", {"shake": False}, [(IN, "ping"), (IN, "version")], ["ping"]),
    ("before_verack", {"shake": False}, [(IN, "version"), (IN, "sendcmpct"), (IN, "getdata")], ["getdata"]),
    ("verack_repeated", {}, [(IN, "verack")], ["verack"]),
    ("negotiation_late", {}, [(IN, "sendaddrv2"), (OUT, "wtxidrelay")], ["sendaddrv2", "wtxidrelay"]),
    (
        "negotiation_repeated",
        {"shake": False},
        [(IN, "version"), (IN, "wtxidrelay"), (IN, "wtxidrelay"), (IN, "sendaddrv2"), (IN, "sendaddrv2")],
        ["wtxidrelay"],
    ),
    ("reconciliation_alone", {"shake": False}, [(IN, "version"), (IN, "sendtxrcncl"), (IN, "verack")], ["verack"]),
    ("getaddr_repeated", {}, [(IN, "getaddr"), (IN, "getaddr"), (IN, "getaddr")], ["getaddr"]),
    ("getaddr_by_acceptor", {}, [(OUT, "getaddr")], ["getaddr"]),
    ("getaddr_by_acceptor", {"conn_type": "outbound-full-relay"}, [(IN, "getaddr")], ["getaddr"]),
    ("tx_not_relayed_here", {"conn_type": "block-relay-only"}, [(IN, "inv", INV_TX), (OUT, "tx")], ["inv", "tx"]),
    ("tx_not_relayed_here", {"conn_type": "feeler"}, [(IN, "tx")], ["tx"]),
    ("addr_not_relayed_here", {"conn_type": "block-relay-only"}, [(IN, "addrv2")], ["addrv2"]),
    (
        "bloom_not_offered",
        {},
        [(IN, "mempool"), (IN, "filterload"), (IN, "filterclear")],
        ["filterclear", "filterload", "mempool"],
    ),
    ("filter_missing", {"services": BLOOM}, [(IN, "filteradd")], ["filteradd"]),
    ("filter_missing", {"services": BLOOM}, [(IN, "filterload"), (IN, "filterclear"), (IN, "filteradd")], ["filteradd"]),
    ("compact_filters_not_offered", {}, [(IN, "getcfilters"), (IN, "getcfcheckpt")], ["getcfcheckpt", "getcfilters"]),
]


@pytest.mark.parametrize(("kind", "how", "steps", "types"), CASES, ids=[f"{c[0]}-{i}" for i, c in enumerate(CASES)])
def test_each_rule(kind: str, how: dict[str, Any], steps: list[Step], types: list[str]) -> None:
    """What it speaks of breaks it, and breaks no other."""
    found = weirds(*steps, **how)
    assert sorted(t for k, t, _ in found if k == kind) == types
    assert {k for k, _, _ in found} == {kind}


def test_every_rule_has_a_case() -> None:
    """No rule is untried."""
    assert {rule.kind for rule in RULES} == {case[0] for case in CASES}


RIGHT: list[tuple[dict[str, Any], list[Step]]] = [
    ({"conn_type": "block-relay-only"}, [(IN, "inv", INV_BLOCK)]),
    ({"conn_type": "feeler"}, [(IN, "addr")]),
    ({"services": BLOOM}, [(IN, "filterload"), (IN, "filteradd"), (IN, "filterclear"), (IN, "mempool")]),
    ({"services": FILTERS}, [(IN, "getcfilters")]),
    ({"shake": False}, [(IN, "version"), (IN, "sendtxrcncl"), (IN, "wtxidrelay"), (IN, "verack")]),
]


@pytest.mark.parametrize(("how", "steps"), RIGHT)
def test_what_is_allowed(how: dict[str, Any], steps: list[Step]) -> None:
    """What comes close to breaking a rule, and is right."""
    assert weirds(*steps, **how) == []


def test_a_connection_met_midway_is_not_judged() -> None:
    """Of what was said before we looked, nothing is known; neither after something was lost."""
    stream = Stream()
    stream.message(at(0.1), 1, "ping")
    stream.message(at(0.2), 1, "verack")
    stream.message(at(0.3), 1, "verack")
    stream.opened(at(0.4), 2)
    stream.loss(at(0.5), "dropped")
    stream.message(at(0.6), 2, "ping")
    stream.opened(at(0.7), 3)
    stream.message(at(0.8), 3, "ping")
    assert [(r["peer"], r["kind"]) for r in told(stream, 1)["weird"]] == [(3, "before_version")]


def test_a_second_version_of_the_node_is_another_connection() -> None:
    """A capture files connections of one address as one: nothing is judged from there on."""
    assert weirds((OUT, "version"), (IN, "version"), (OUT, "verack"), (IN, "verack"), conn_type="outbound-full-relay") == []


def test_tables_by_type() -> None:
    """While a handshake is under way every type is looked at; unknown ones belong to no rule."""
    assert (CARE & Care.OPENING == Care.OPENING).all()
    assert not CARE[UNKNOWN] & (Care.WHOLE | Care.REFUSING)
    assert CARE[TYPE["inv"]] & Care.REFUSING
    assert all(name in KNOWN_TYPES for rule in RULES for name in rule.types)
