"""Values that no message should have."""

from __future__ import annotations

from typing import Any

import pytest

from peerwatch.peers.connections import Connections
from peerwatch.peers.values import CHECKS, MAX_MONEY, OwnNonces
from tests.builders import START, Stream, at
from tests.reference.talk import told

WHO = {"peer": 1, "inbound": True}
VERSION = WHO | {"protocol": 70016, "services": 1, "time": START, "user_agent": "/Satoshi:30.0.0/"}
NEGOTIATION: dict[str, Any] = WHO | {"version": None, "fee_rate": None, "high_bandwidth": None}
COMPACT, FEE = NEGOTIATION | {"message": "sendcmpct"}, NEGOTIATION | {"message": "feefilter"}
RECONCILIATION = NEGOTIATION | {"message": "sendtxrcncl"}
FILTER = WHO | {"message": "getcfilters"}


def kinds(kind: str, table: str, row: dict[str, Any], ts: int = at(0.5)) -> list[str]:
    """Kinds of weird that one message with one row gives, on a connection that was met midway."""
    stream = Stream()
    stream.message(ts, 1, kind, **{table: [row]})
    return [r["kind"] for r in told(stream, 1).get("weird", [])]


@pytest.mark.parametrize(
    ("kind", "table", "row", "found"),
    [
        ("sendcmpct", "negotiation", COMPACT | {"version": 3}, ["sendcmpct_version"]),
        ("sendcmpct", "negotiation", COMPACT | {"version": 1}, []),
        ("sendcmpct", "negotiation", COMPACT | {"version": 2}, []),
        ("feefilter", "negotiation", FEE | {"fee_rate": -1}, ["feefilter_range"]),
        ("feefilter", "negotiation", FEE | {"fee_rate": MAX_MONEY + 1}, ["feefilter_range"]),
        ("feefilter", "negotiation", FEE | {"fee_rate": MAX_MONEY}, []),
        ("sendtxrcncl", "negotiation", RECONCILIATION | {"version": 0}, ["sendtxrcncl_version"]),
        ("sendtxrcncl", "negotiation", RECONCILIATION | {"version": 1}, []),
        ("headers", "headers", WHO | {"headers": 2, "breaks": 1}, ["headers_not_continuous"]),
        ("headers", "headers", WHO | {"headers": 2, "breaks": 0}, []),
        ("getcfilters", "block_filter", FILTER | {"filter_type": 1}, ["filter_type"]),
        ("getcfilters", "block_filter", FILTER | {"filter_type": 0}, []),
        ("version", "version", VERSION, []),
        ("version", "version", VERSION | {"protocol": 31799}, ["protocol_obsolete"]),
        ("version", "version", VERSION | {"protocol": 31800}, []),
        ("version", "version", VERSION | {"time": START + 4201}, ["clock_offset"]),
        ("version", "version", VERSION | {"time": START - 4200}, []),
        ("version", "version", VERSION | {"time": -(1 << 63)}, ["clock_offset"]),
        ("version", "version", VERSION | {"user_agent": ""}, ["user_agent_empty"]),
        ("version", "version", VERSION | {"user_agent": None}, []),
        ("version", "version", VERSION | {"user_agent": "/a\\x1b[31m/"}, ["user_agent_unprintable"]),
        ("version", "version", VERSION | {"user_agent": "/a\\x5cb/"}, []),
    ],
)
def test_a_value(kind: str, table: str, row: dict[str, Any], found: list[str]) -> None:
    """Wrong values are found, and the last right one on each side is not; nothing need be known of the connection."""
    assert kinds(kind, table, row) == found


@pytest.mark.parametrize(
    ("number", "right"),
    [(0, False), (6, False), (1 << 31 | 1, False), (5 | 1 << 30, False), (1, True), (3 | 1 << 30, True), (5, True)],
)
def test_an_inventory_kind(number: int, *, right: bool) -> None:
    """Types of inventory that Core knows are right, all others are not."""
    assert kinds("inv", "inventory", WHO | {"idx": 0, "message": "inv", "kind": number, "item": 1}) == (
        [] if right else ["inventory_kind"]
    )


def test_tables_without_the_columns_are_left_alone() -> None:
    """An archive of an older schema has fewer columns."""
    stream = Stream()
    stream.message(at(0.5), 1, "headers", headers=[WHO | {"headers": 2, "breaks": 1}])
    batch = stream.batch()
    tables = {"message": batch.tables["message"], "headers": batch.tables["headers"].drop_columns(["breaks"])}
    connections = Connections("alice")
    connections.feed(batch.identity, tables, batch.event_of, batch.events, None)
    assert connections.finish()[0][1] == {}
    assert set(CHECKS) == {"headers", "negotiation", "block_filter", "version"}


def test_a_connection_to_oneself() -> None:
    """A peer's version with a nonce of ours; not ours with a nonce of ours, and not one of a connection that the peer opened."""
    stream = Stream()
    stream.opened(at(0.1), 1, conn_type="outbound-full-relay")
    stream.opened(at(0.1), 2)
    stream.opened(at(0.1), 3)
    for ts, peer, inbound, nonce in (
        (0.2, 2, True, 6),
        (0.3, 1, False, 5),
        (0.4, 2, False, 6),
        (0.5, 3, True, 6),
        (0.6, 3, True, 5),
    ):
        row = VERSION | {"peer": peer, "inbound": inbound, "nonce": nonce}
        stream.message(at(ts), peer, "version", inbound=inbound, version=[row])
    for size in (1, 100):
        assert [(r["peer"], r["first"]) for r in told(stream, size)["weird"] if r["kind"] == "self_connection"] == [(3, 7)]


def test_own_nonces_are_bounded() -> None:
    """Only the last ones count, and the state has no more than these."""
    stream = Stream()
    stream.opened(at(0.1), 1, conn_type="outbound-full-relay")
    stream.opened(at(0.1), 2)
    for nonce in range(1, OwnNonces.KEPT + 2):
        stream.message(at(0.2), 1, "version", inbound=False, version=[VERSION | {"inbound": False, "nonce": nonce}])
    for nonce in (1, 2):
        stream.message(at(0.3), 2, "version", version=[VERSION | {"peer": 2, "nonce": nonce}])
    found = [r for r in told(stream, 10)["weird"] if r["kind"] == "self_connection"]
    assert [(r["count"], r["first"]) for r in found] == [(1, OwnNonces.KEPT + 4)]
