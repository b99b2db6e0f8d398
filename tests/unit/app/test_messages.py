"""Recorded messages in order, page by page."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from peerwatch.app import message_follow, messages
from peerwatch.app.message_details import Dissected, Wanted
from peerwatch.app.message_filter import Filter
from peerwatch.app.messages import FURTHER, Messages, Span
from peerwatch.schema.batch import SECOND
from peerwatch.schema.table import Identity
from peerwatch.schema.tables.message import Message
from peerwatch.store.archive import Archive
from peerwatch.store.query import Query
from peerwatch.store.writer import Limits
from tests.unit.app.recorded_messages import START, WHO, inventory, record, tables, whole

PINGS = [whole("ping", bytes(8))] * 100


def numbers(pages: Iterable[list[Dissected]]) -> list[int]:
    return [each.message["seq"] for page in pages for each in page]


def pings(archive: Archive, first: int, count: int, who: Identity = WHO) -> dict[str, pa.RecordBatch]:
    return tables([whole("ping", bytes(8))] * count, archive.inventory_key, first, who)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A hundred pings, a millisecond apart."""
    return record(tmp_path / "archive", PINGS)


def rows_at(times: list[int], who: Identity = WHO) -> pa.RecordBatch:
    """Messages at any times, numbered in this order."""
    n = len(times)
    zeros = np.zeros(n, np.uint32)
    columns = {
        "ts": times,
        "seq": range(n),
        "peer": zeros,
        "inbound": [True] * n,
        "type": ["odd"] * n,
        "size": zeros,
        "kept": zeros,
    }
    return Message.build(who, columns | {"unreadable": [False] * n})


@pytest.mark.parametrize("last", [1, 50, 99, 100, 101, None])
def test_the_last_so_many(archive: Path, last: int | None) -> None:
    """Oldest first; all of them when there are no more, or no number is given; and none is nothing."""
    found = numbers(Messages(archive, Filter(), Wanted()).history(last))
    assert found == list(range(100))[-last if last else 0 :]
    assert numbers(Messages(archive, Filter(), Wanted()).history(0)) == []


def test_filters_hold_before_counting(archive: Path) -> None:
    """The last so many of those that fit, between any times."""
    chosen = Filter(peers=("1",), since=START + 10_000_000, until=START + 50_000_000)
    found = [n for n in range(10, 50) if n % 3 == 1]
    assert numbers(Messages(archive, chosen, Wanted()).history(5)) == found[-5:]
    assert numbers(Messages(archive, chosen, Wanted()).history(None)) == found
    assert numbers(Messages(archive, Filter(types=("tx",)), Wanted()).history(5)) == []
    assert numbers(Messages(archive, Filter(since=START + 10 * SECOND), Wanted()).history(None)) == []
    assert numbers(Messages(archive, Filter(until=START), Wanted()).history(5)) == []


def test_pages_hold_everything_once(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever their size, and whatever messages have the same time."""
    still = Identity("bob", START, "capture")
    with Archive.create_or_open(archive) as more:
        more.writer(still).append({"message": rows_at([START + 5_000_000] * 50, still)}, {})
    expected = sorted(
        [(START + n * 1_000_000, "alice", n) for n in range(100)] + [(START + 5_000_000, "bob", n) for n in range(50)]
    )
    for size, last in ((1, 10), (7, None), (20, 150), (50, 149), (150, None), (1000, 120)):
        monkeypatch.setattr(messages, "PAGE", size)
        pages = list(Messages(archive, Filter(), Wanted()).history(last))
        assert max(map(len, pages)) <= size
        found = [(each.message["ts"], each.message["node"], each.message["seq"]) for page in pages for each in page]
        assert found == expected[-last if last else 0 :]


def test_long_pauses_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Years without a message cost a few queries, forwards and backwards."""
    asked: list[str] = []
    table = Query.table
    monkeypatch.setattr(Query, "table", lambda self, sql: (asked.append(sql), table(self, sql))[1])
    year = 365 * 86400 * SECOND
    with Archive.create_or_open(tmp_path / "archive") as archive:
        archive.writer(WHO).append({"message": rows_at([START - 50 * year, START, START + 200 * year])}, {})
    for last in (3, None):
        asked.clear()
        assert numbers(Messages(tmp_path / "archive", Filter(), Wanted()).history(last)) == [0, 1, 2]
        assert len(asked) < 40


def test_the_last_ones_are_sought_from_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No query that returns rows reaches further back than so many times what was needed."""
    asked: list[str] = []
    table = Query.table
    monkeypatch.setattr(Query, "table", lambda self, sql: (asked.append(sql), table(self, sql))[1])
    with Archive.create_or_open(tmp_path / "archive") as archive:
        archive.writer(WHO).append({"message": rows_at([START + n * SECOND for n in range(5000)])}, {})
    assert numbers(Messages(tmp_path / "archive", Filter(), Wanted()).history(10)) == list(range(4990, 5000))
    bounds = [int(sql.split("ts >= ")[1].split()[0]) for sql in asked if "ts >= " in sql]
    assert len(bounds) >= 2
    assert min(bounds) >= START + (4999 - 10 * FURTHER) * SECOND


def test_long_lists_are_dissected_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many messages as hold so many bytes of entries; a longer one alone. Other messages are no lists, however long."""
    monkeypatch.setattr(messages, "PART_BYTES", 1000)
    sent = [whole("inv", inventory([1] * n)) for n in (1, 1, 20, 200, 1, 1)] + [whole("odd", bytes(5000))] * 4
    found = list(Messages(record(tmp_path / "archive", sent), Filter(), Wanted()).history(None))
    assert [[each.counts.get("inventory", {1: 0})[1] for each in page] for page in found] == [
        [1, 1, 20],
        [200],
        [1, 1, 0, 0, 0, 0],
    ]


def test_span_and_nodes(archive: Path, tmp_path: Path) -> None:
    """From when to when there are messages, and of whom; of one node, when only one is wanted."""
    assert Messages(archive, Filter(), Wanted()).span() == Span(START, START + 99_000_000)
    Archive.create_or_open(tmp_path / "empty").close()
    empty = Messages(tmp_path / "empty", Filter(), Wanted())
    assert (empty.span(), list(empty.history(50)), empty.nodes) == (None, [], set())
    with Archive.create_or_open(archive) as more:
        who = Identity("bob", START, "usdt")
        more.writer(who).append(pings(more, 0, 1, who), {})
    for node, nodes in ((None, {"alice", "bob"}), ("bob", {"bob"}), ("eve", {"alice", "bob"})):
        asked = Messages(archive, Filter(node=node), Wanted())
        list(asked.history(1))
        assert asked.nodes == nodes


@pytest.mark.parametrize("last", [0, 20, None])
def test_following_goes_on_where_history_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: int | None) -> None:
    """Every message recorded since is shown, and none twice, whatever is recorded between any two looks."""
    table, pause = Query.table, False
    with Archive.create_or_open(tmp_path / "archive", Limits(age_s=0)) as archive:
        writer = archive.writer(WHO)
        writer.append(pings(archive, 0, 100), {})
        recorded = 100

        def asked(self: Query, sql: str) -> pa.Table:
            nonlocal recorded, pause
            if not pause and recorded < 250:
                pause = True
                writer.append(pings(archive, recorded, 10), {})
                recorded += 10
                pause = False
            return table(self, sql)

        monkeypatch.setattr(Query, "table", asked)
        monkeypatch.setattr(message_follow, "PAGE", 30)
        looks = iter([False] * 12 + [True])
        found = numbers(Messages(tmp_path / "archive", Filter(), Wanted()).follow(last, lambda: next(looks)))
    assert len(found) == len(set(found))
    assert sorted(found) == list(range(min(found), max(found) + 1))
    assert max(found) == 249
    if last is None:
        assert min(found) == 0
    elif last:
        assert min(found) == 90  # ten more had come when the last were counted, and the rest while they were sought


def test_following_an_empty_archive(tmp_path: Path) -> None:
    """The first message is shown like any other."""
    with Archive.create_or_open(tmp_path / "archive") as archive:
        looks = 0

        def stop() -> bool:
            nonlocal looks
            looks += 1
            if looks == 2:
                archive.writer(WHO).append(pings(archive, 0, 3), {})
            return looks > 3

        followed = Messages(tmp_path / "archive", Filter(), Wanted())
        assert numbers(followed.follow(50, stop)) == [0, 1, 2]
        assert followed.nodes == {"alice"}
