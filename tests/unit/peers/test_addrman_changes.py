"""What became of entries of the address manager, against a plain reading of the rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwatch.peers.addrman import AddressManager
from peerwatch.peers.addrman_entries import BUCKET_SIZE, FIRST_TRIED, READ, TABLES
from peerwatch.peers.netgroup import netgroup
from peerwatch.schema.table import Identity
from peerwatch.schema.tables.addrman_entry import AddrmanEntry
from tests.reference.addrman import Entry, Place, Row, State, difference, present, rebuilt, settled

NOW = 1_760_000_000_000_000_000

PLACES: tuple[Place, ...] = ((0, 0, 0), (0, 0, 63), (0, 1, 0), (0, 1023, 63), (1, 0, 0), (1, 0, 1), (1, 255, 63))
ENTRIES = st.builds(
    Entry,
    address=st.sampled_from(["1.2.3.4", "1.2.3.40", "2a00::1"]),
    port=st.sampled_from([8333, 333]),
    source=st.sampled_from(["9.8.7.6", "2a00::2"]),
    services=st.sampled_from([0, 1, 2**64 - 1]),
    time=st.sampled_from([0, 1_760_000_000]),
)
STATES = st.dictionaries(st.sampled_from(PLACES), ENTRIES)
"""Few values, so that every pair of states has much in common. Also states that no node has: one address from two peers."""

A, B = Entry("1.2.3.4", 8333, "9.8.7.6", 9, 100), Entry("5.6.7.8", 8333, "9.8.7.6", 9, 100)
A_FROM_ANOTHER = A._replace(source="4.4.4.4")


def read(state: State) -> pa.RecordBatch:
    """A state as columns, its last place first."""
    rows = [
        {
            "place": table * FIRST_TRIED + bucket * BUCKET_SIZE + position,
            "address": entry.address,
            "port": entry.port,
            "network": "ipv4" if "." in entry.address else "ipv6",
            "services": entry.services,
            "time": entry.time,
            "from_address": entry.source,
            "from_network": "ipv4" if "." in entry.source else "ipv6",
        }
        for (table, bucket, position), entry in sorted(state.items(), reverse=True)
    ]
    return pa.RecordBatch.from_pylist(rows, schema=READ)


def told(manager: AddressManager, state: State) -> list[Row]:
    """Rows of the table that the next state gives."""
    _, changes = manager.update(read(state))
    columns = changes.rows(NOW)
    batch = AddrmanEntry.build(Identity("alice", 1, "rpc"), {**columns, "seq": np.arange(len(columns["ts"]))})
    batch.validate(full=True)
    return [_row(row) for row in batch.to_pylist()]


def _row(row: Mapping[str, Any]) -> Row:
    assert row["ts"] == NOW
    assert row["network"] == ("ipv4" if "." in row["address"] else "ipv6")
    assert (row["netgroup"], row["from_netgroup"]) == (netgroup(row["address"]), netgroup(row["from_address"]))
    old = tuple(row[f"old_{name}"] for name in ("table", "bucket", "position"))
    assert all(each is None for each in old) or None not in old
    return Row(
        row["event"],
        (TABLES.index(row["table"]), row["bucket"], row["position"]),
        Entry(row["address"], row["port"], row["from_address"], row["services"], row["time"]),
        None if old[0] is None else (TABLES.index(old[0]), *old[1:]),
        row["old_services"],
        row["old_time"],
    )


@given(states=st.lists(STATES, min_size=1, max_size=4))
def test_rows_are_those_of_the_reference_and_rebuild_every_state(states: list[State]) -> None:
    """Of any states one after the other, the rows are exactly the reference's, and taken in their order they make each state."""
    manager, last = AddressManager(lambda _: None), None
    for state in states:
        rows = told(manager, state)
        new = settled(state)
        assert rows == (present(new) if last is None else difference(last, new))
        assert rebuilt(last or {}, rows) == new
        last = new


CASES: dict[str, tuple[State, State, list[Row]]] = {
    "nothing changed": ({(0, 1, 1): A}, {(0, 1, 1): A}, []),
    "came": ({}, {(0, 1, 1): A}, [Row("inserted", (0, 1, 1), A)]),
    "went": ({(0, 1, 1): A}, {}, [Row("evicted", (0, 1, 1), A)]),
    "another in its place": (
        {(0, 1, 1): A},
        {(0, 1, 1): B},
        [Row("replaced", (0, 1, 1), A), Row("inserted", (0, 1, 1), B)],
    ),
    "forgotten and heard of anew": (
        {(0, 1, 1): A},
        {(0, 1, 1): A_FROM_ANOTHER},
        [Row("replaced", (0, 1, 1), A), Row("inserted", (0, 1, 1), A_FROM_ANOTHER)],
    ),
    "another port is another address": (
        {(0, 1, 1): A},
        {(0, 1, 2): A._replace(port=1)},
        [Row("evicted", (0, 1, 1), A), Row("inserted", (0, 1, 2), A._replace(port=1))],
    ),
    "a second place": ({(0, 1, 1): A}, {(0, 1, 1): A, (0, 0, 5): A}, [Row("inserted", (0, 0, 5), A)]),
    "another place": ({(0, 1, 1): A}, {(0, 2, 2): A}, [Row("moved", (0, 2, 2), A, (0, 1, 1))]),
    "two entries swapped": (
        {(0, 1, 1): A, (0, 2, 2): B},
        {(0, 1, 1): B, (0, 2, 2): A},
        [Row("moved", (0, 1, 1), B, (0, 2, 2)), Row("moved", (0, 2, 2), A, (0, 1, 1))],
    ),
    "other places, and more of them": (
        {(0, 1, 1): A},
        {(0, 2, 2): A, (0, 3, 3): A},
        [Row("evicted", (0, 1, 1), A), Row("inserted", (0, 2, 2), A), Row("inserted", (0, 3, 3), A)],
    ),
    "promoted from two places, one taken since": (
        {(0, 1, 1): A, (0, 2, 2): A},
        {(1, 7, 7): A, (0, 1, 1): B},
        [Row("to_tried", (1, 7, 7), A, (0, 1, 1)), Row("inserted", (0, 1, 1), B)],
    ),
    "promoted, and what was there thrown back": (
        {(0, 1, 1): A, (1, 7, 7): B},
        {(1, 7, 7): A, (0, 2, 2): B},
        [Row("to_tried", (1, 7, 7), A, (0, 1, 1)), Row("to_new", (0, 2, 2), B, (1, 7, 7))],
    ),
    "thrown back to the place of another": (
        {(1, 7, 7): A, (0, 2, 2): B},
        {(0, 2, 2): A},
        [Row("replaced", (0, 2, 2), B), Row("to_new", (0, 2, 2), A, (1, 7, 7))],
    ),
    "thrown back, and heard of again": (
        {(1, 7, 7): A},
        {(0, 2, 2): A, (0, 3, 3): A},
        [Row("to_new", (0, 2, 2), A, (1, 7, 7)), Row("inserted", (0, 3, 3), A)],
    ),
    "promoted between the two lists of one answer": (
        {(0, 1, 1): A},
        {(0, 1, 1): A, (1, 7, 7): A},
        [Row("to_tried", (1, 7, 7), A, (0, 1, 1))],
    ),
    "seen later": (
        {(0, 1, 1): A},
        {(0, 1, 1): A._replace(time=200)},
        [Row("updated", (0, 1, 1), A._replace(time=200), old_time=100)],
    ),
    "another service, and promoted": (
        {(0, 1, 1): A},
        {(1, 7, 7): A._replace(services=1033)},
        [Row("to_tried", (1, 7, 7), A._replace(services=1033), (0, 1, 1), old_services=9)],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_told(case: str) -> None:
    """Each kind of change gives just these rows."""
    before, after, rows = CASES[case]
    manager = AddressManager(lambda _: None)
    told(manager, before)
    assert told(manager, after) == rows


def test_changes_are_counted_by_table() -> None:
    """Rows of some events are counted in the table of their place."""
    manager = AddressManager(lambda _: None)
    manager.update(read({(0, 1, 1): A, (0, 1, 2): B, (1, 1, 1): B._replace(port=1)}))
    _, changes = manager.update(read({(1, 7, 7): A, (1, 7, 8): B._replace(port=2)}))
    assert changes.count("to_tried", "to_new") == (0, 1)
    assert changes.count("inserted") == (0, 1)
    assert changes.count("evicted", "replaced") == (1, 1)
