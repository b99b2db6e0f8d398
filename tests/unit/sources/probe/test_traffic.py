"""Counting what the node sends."""

from __future__ import annotations

from btclib.p2p import FeeFilter, Inv, Inventory, InventoryType
from hypothesis import given
from hypothesis import strategies as st

from peerwatch.schema.table import Identity
from peerwatch.schema.tables.probe_traffic import ProbeTraffic
from peerwatch.sources.probe.traffic import LEAST_ENTRY, Traffic, entries
from peerwatch.wire.raw import OTHER, UNKNOWN_NAMES, TypeNames

NOW = 1_760_000_000_000_000_000


def rows(traffic: Traffic) -> dict[str, dict[str, object]]:
    """Rows by type."""
    _, columns = traffic.take("127.0.0.1:5", NOW)
    many = len(columns["ts"])
    batch = ProbeTraffic.build(Identity("alice", 1, "probe"), {**columns, "seq": list(range(many))})
    return {row["type"]: row for row in batch.to_pylist()}


def test_messages_bytes_and_entries_add_up() -> None:
    """By type, and from 0 again once they were taken; of fee filters the last one."""
    traffic = Traffic(TypeNames())
    inventory = Inv([Inventory(InventoryType.MSG_WTX, bytes([i]) * 32) for i in range(3)]).serialize()
    for _ in range(2):
        traffic.count("inv", inventory)
    traffic.count("feefilter", FeeFilter(1000).serialize())
    traffic.count("feefilter", FeeFilter(9170997).serialize())
    traffic.count("feefilter", b"short")
    traffic.count("addrv2", b"")
    told = rows(traffic)
    assert {name: (row["messages"], row["bytes"], row["entries"], row["fee_filter"]) for name, row in told.items()} == {
        "inv": (2, 2 * len(inventory), 6, None),
        "feefilter": (3, 21, 0, 9170997),
        "addrv2": (1, 0, 0, None),
    }
    assert {(row["ts"], row["address"]) for row in told.values()} == {(NOW, "127.0.0.1:5")}
    assert rows(traffic) == {}


def test_types_are_bounded() -> None:
    """A node that invents types makes no more rows than there are names, over all connections, and its names are escaped."""
    names = TypeNames()
    for _ in range(3):
        traffic = Traffic(names)
        for i in range(UNKNOWN_NAMES + 100):
            traffic.count(f"evil{i}", b"x")
        told = rows(traffic)
        assert len(told) == UNKNOWN_NAMES + 1
        assert told[OTHER]["messages"] == 100
    traffic.count("a\x1bb", b"")
    assert OTHER in rows(traffic)


@given(st.sampled_from([*LEAST_ENTRY.values()]), st.binary(max_size=300))
def test_entries_are_those_that_there_is_room_for(least: int, payload: bytes) -> None:
    """A count may claim anything: no more is counted than could be in the payload."""
    assert 0 <= entries(payload, least) <= len(payload) // least


def test_counts_of_all_lengths_are_read() -> None:
    """As CompactSize has them."""
    room = bytes(81 * 300)
    assert entries(b"\x05" + room, 81) == 5
    assert entries(b"\xfd\x2c\x01" + room, 81) == 300
    assert entries(b"\xfe\x2c\x01\0\0" + room, 81) == 300
    assert entries(b"\xff" + (2**63).to_bytes(8, "little") + room, 81) == 300
    assert entries(b"\xfd", 81) == 0
