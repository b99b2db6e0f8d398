"""What messages say, looked up in an archive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from peerwatch.app.message_details import Details, Wanted
from peerwatch.schema.table import Identity
from peerwatch.schema.tables.inventory_id import InventoryId
from peerwatch.store.archive import Archive
from peerwatch.store.query import Query
from tests.unit.app.recorded_messages import START, WHO, connections, inventory, record, tables, version, whole

SENT = [
    whole("version", version(b"/Satoshi:29.0.0/")),
    whole("verack", b""),
    whole("ping", bytes(8)),
    whole("inv", inventory([1] * 35)),
    whole("getdata", inventory([5, 5, 2])),
    whole("pong", b"\1"),
    whole("odd", b"abc"),
]


class Counting(Query):
    """Counts what it is asked."""

    asked = 0

    def table(self, sql: str) -> pa.Table:
        """As Query's."""
        self.asked += 1
        return super().table(sql)


@pytest.fixture
def query(tmp_path: Path) -> Counting:
    """Asks an archive of the messages above."""
    return Counting(record(tmp_path / "archive", SENT))


def messages(query: Query) -> pa.Table:
    return query.table("SELECT * FROM message ORDER BY seq")


def test_messages_stay_as_they_are(query: Counting) -> None:
    """In their order, each with its row and the address of its peer, where that is known."""
    rows = messages(query)
    found = Details(query, Wanted()).of(rows)
    assert [each.message for each in found] == rows.to_pylist()
    addresses = ["203.0.113.7:8333", "[2001:db8::1]:8333", None]
    assert [each.address for each in found] == [addresses[n % 3] for n in range(len(SENT))]


def test_rows_and_counts(query: Counting) -> None:
    """The row of a message in its table, or how many entries it has of each kind; nothing for a type that says nothing."""
    found = Details(query, Wanted()).of(messages(query))
    (row,) = found[0].fields["version"]
    assert (row["protocol"], row["user_agent"], row["start_height"]) == (70016, "/Satoshi:29.0.0/", 900_000)
    assert not row.keys() & {"node", "session", "source", "ts", "seq", "peer", "inbound"}
    assert found[2].fields == {"ping": [{"pong": False, "nonce": 0}]}
    assert found[3].counts == {"inventory": {1: 35}}
    assert list(found[4].counts["inventory"].items()) == [(5, 2), (2, 1)]
    assert [(found[n].fields, found[n].counts) for n in (1, 3, 5, 6)] == [({}, {}), ({}, found[3].counts), ({}, {}), ({}, {})]


@pytest.mark.parametrize(("entries", "expected"), [(0, []), (10, list(range(10))), (None, list(range(35)))])
def test_entries(query: Counting, entries: int | None, expected: list[int]) -> None:
    """None, the first so many of each message, or all, in their order."""
    found = Details(query, Wanted(counts=False, entries=entries)).of(messages(query))
    assert [row["idx"] for row in found[3].fields.get("inventory", [])] == expected
    assert [row["kind"] for row in found[4].fields.get("inventory", [])] == [5, 5, 2][: len(expected)]
    assert {each.counts.get("inventory") for each in found} == {None}


def test_whole_ids_go_with_their_entries(tmp_path: Path) -> None:
    """Where they were recorded."""
    with Archive.create_or_open(tmp_path / "archive") as archive:
        rows = tables(SENT[3:5], archive.inventory_key)
        some = {"ts": [START] * 2, "seq": [0, 0], "idx": [0, 1], "peer": [0, 0], "inbound": [True] * 2, "item": [7, 8]}
        rows["inventory_id"] = InventoryId.build(WHO, some | {"id": [bytes(32), b"\1" * 32]})
        archive.writer(WHO).append(rows, {})
    query = Query(tmp_path / "archive")
    first, second = Details(query, Wanted(counts=False, entries=None)).of(messages(query))
    assert first.fields["inventory_id"] == [
        {"idx": 0, "item": 7, "id": bytes(32)},
        {"idx": 1, "item": 8, "id": b"\1" * 32},
    ]
    assert second.fields.keys() == {"inventory"}


def test_the_same_number_of_another_identity_is_another_message(tmp_path: Path) -> None:
    """Node, session, source and sequence number together tell a message."""
    others = [WHO, Identity("bob", WHO.session, "usdt"), Identity("alice", 5, "usdt"), Identity("alice", WHO.session, "capture")]
    with Archive.create_or_open(tmp_path / "archive") as archive:
        for n, who in enumerate(others):
            agent = version(b"/%d/" % n)
            rows = tables([whole("version", agent)], archive.inventory_key, who=who)
            archive.writer(who).append(rows | ({"connection": connections(who)} if n == 1 else {}), {})
    query = Query(tmp_path / "archive")
    rows = query.table("SELECT * FROM message")
    of = {
        Identity(each.message["node"], each.message["session"], each.message["source"]): each
        for each in Details(query, Wanted()).of(rows)
    }
    assert [of[who].fields["version"][0]["user_agent"] for who in others] == [f"/{n}/" for n in range(4)]
    assert [of[who].address for who in others] == [None, "203.0.113.7:8333", None, None]


def test_queries_do_not_grow_with_messages(query: Counting) -> None:
    """Two for a page, whatever is in it; one when the addresses are known; none for no messages."""
    rows = messages(query)
    with_addresses = rows.filter(pa.array([n % 3 != 2 for n in range(len(SENT))]))
    details = Details(query, Wanted(entries=10))
    for page, expected in ((with_addresses, 2), (with_addresses, 1), (rows, 2), (rows.slice(0, 0), 0)):
        query.asked = 0
        details.of(page)
        assert query.asked == expected


def test_an_address_that_comes_later_is_found(tmp_path: Path) -> None:
    """A peer without one is asked for again."""
    with Archive.create_or_open(tmp_path / "archive") as archive:
        writer = archive.writer(WHO)
        writer.append(tables(SENT[:1], archive.inventory_key), {})
        query = Query(tmp_path / "archive")
        details = Details(query, Wanted())

        def address() -> Any:
            return details.of(messages(query))[0].address

        assert address() is None
        writer.append({"connection": connections()}, {})
        assert address() == "203.0.113.7:8333"
