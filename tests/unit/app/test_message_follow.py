"""Messages as they are recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from peerwatch.app import message_follow
from peerwatch.app.message_follow import LOOKBACK, Follower, Mark, messages_of
from peerwatch.schema.table import Identity
from peerwatch.schema.tables.message import Message
from peerwatch.store.archive import Archive
from peerwatch.store.query import Query
from peerwatch.store.writer import Limits

START = 1_793_613_600_000_000_000
WHO = Identity("alice", START, "usdt")
BOB = Identity("bob", START, "usdt")


def rows(numbers: list[int], who: Identity = WHO, kind: str = "ping", ts: int | None = None) -> dict[str, pa.RecordBatch]:
    """Messages of these numbers, a microsecond apart, or all at one time."""
    n = len(numbers)
    number = np.array(numbers, np.int64)
    zeros = np.zeros(n, np.uint32)
    columns = {"ts": START + number * 1000 if ts is None else np.full(n, ts), "seq": number, "peer": number % 3}
    columns |= {"inbound": number % 2 == 0, "size": zeros, "kept": zeros, "unreadable": np.zeros(n, bool)}
    return {"message": Message.build(who, columns | {"type": [kind] * n})}


def news(follower: Follower) -> list[tuple[str, int]]:
    return [(r["node"], r["seq"]) for page in follower.news() for r in page.to_pylist()]


def of(node: str, numbers: range | list[int]) -> list[tuple[str, int]]:
    return [(node, n) for n in numbers]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "archive"


@pytest.fixture
def follow(path: Path) -> Callable[..., Follower]:
    """Makes a follower of the archive."""
    return lambda condition="true": Follower(path, Query(path), condition)


def test_what_is_there_is_known(path: Path, follow: Callable[..., Follower]) -> None:
    """Written ahead or sealed; only what comes after it is news, once."""
    with Archive.create_or_open(path) as archive:
        archive.writer(BOB).append(rows([0, 1, 2], BOB), {})
    with Archive.create_or_open(path) as archive:
        writer = archive.writer(WHO)
        writer.append(rows(list(range(10))), {})
        follower = follow()
        assert follower.there.keys() == {WHO, BOB}
        assert news(follower) == []
        writer.append(rows([10, 11]), {})
        writer.append(rows([12]), {})
        assert news(follower) == of("alice", [10, 11, 12])
        assert news(follower) == []
        archive.writer(BOB).append(rows([3], BOB), {})
        assert news(follower) == of("bob", [3])


def test_sealing_changes_nothing(path: Path, follow: Callable[..., Follower]) -> None:
    """Rows that move into Parquet files, before or after they were shown, are shown once."""
    archive = Archive.create_or_open(path, Limits(age_s=0))
    writer = archive.writer(WHO)
    writer.append(rows([0]), {})
    follower = follow()
    found = []
    for n in range(1, 20):
        writer.append(rows([n]), {})  # the one before is sealed meanwhile
        if n % 3:
            found += news(follower)
    archive.close()
    assert found + news(follower) == of("alice", range(1, 20))
    assert list((path / "message").rglob("*.parquet"))
    assert news(follower) == []


def test_late_rows_are_not_missed(path: Path, follow: Callable[..., Follower]) -> None:
    """A row may come after ones with higher numbers: to what was there, to what is known, and to what was shown."""
    with Archive.create_or_open(path) as archive:
        writer = archive.writer(WHO)
        writer.append(rows([0, 2, 3, 5]), {})
        follower = follow()
        assert follower.known(Query(path).table("SELECT * FROM message"))["seq"].to_pylist() == [0, 2, 3, 5]
        writer.append(rows([4, 6, 8]), {})
        assert news(follower) == of("alice", [4, 6, 8])
        writer.append(rows([1, 7, LOOKBACK + 100]), {})
        assert follower.known(Query(path).table("SELECT * FROM message ORDER BY seq"))["seq"].to_pylist() == [0, 2, 3, 4, 5, 6, 8]
        assert news(follower) == of("alice", [1, 7, LOOKBACK + 100])
        writer.append(rows([LOOKBACK + 99, 200, 50]), {})
        assert news(follower) == of("alice", [200, LOOKBACK + 99])
        assert news(follower) == []


def test_a_new_identity_is_shown_from_its_first_row(path: Path, follow: Callable[..., Follower]) -> None:
    """Though its times be long past, and though it be over and sealed by the time of the next look."""
    Archive.create_or_open(path).close()
    follower = follow()
    assert news(follower) == []
    with Archive.create_or_open(path) as archive:
        archive.writer(WHO).append(rows([0, 1], ts=START - 10**17), {})
    assert news(follower) == of("alice", [0, 1])


def test_a_former_identity_goes_on(path: Path, follow: Callable[..., Follower]) -> None:
    """As when recording is started again while the node runs on."""
    for numbers in (range(5), range(5, 8)):
        with Archive.create_or_open(path) as archive:
            archive.writer(WHO).append(rows(list(numbers)), {})
        if numbers == range(5):
            follower = follow()
            assert news(follower) == []
    assert news(follower) == of("alice", range(5, 8))


def test_only_what_fits(path: Path, follow: Callable[..., Follower]) -> None:
    """A filter holds for news, too; what does not fit is passed over for good."""
    with Archive.create_or_open(path) as archive:
        writer = archive.writer(WHO)
        writer.append(rows([0, 1]), {})
        follower = follow("type = 'inv'")
        for n in range(2, 12, 2):
            writer.append(rows([n], kind="inv"), {})
            writer.append(rows([n + 1]), {})
        assert news(follower) == of("alice", range(2, 12, 2))
        writer.append(rows([12]), {})
        assert news(follower) == []


def test_much_comes_in_pages(path: Path, follow: Callable[..., Follower], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of bounded size, each in order of time, those of several nodes together."""
    monkeypatch.setattr(message_follow, "PAGE", 40)
    monkeypatch.setattr(message_follow, "LOOKBACK", 20)
    monkeypatch.setattr(message_follow, "MOST", 90)
    Archive.create_or_open(path).close()
    follower = follow()
    with Archive.create_or_open(path) as archive:
        for who in (WHO, BOB):
            archive.writer(who).append(rows(list(range(500)), who), {})
    pages = list(follower.news())
    assert max(page.num_rows for page in pages) <= 80
    assert all(page["ts"].to_pylist() == sorted(page["ts"].to_pylist()) for page in pages)
    assert all(page["node"].unique().to_pylist() == ["alice", "bob"] for page in pages)
    found = [(r["node"], r["seq"]) for page in pages for r in page.to_pylist()]
    assert sorted(found) == of("alice", range(500)) + of("bob", range(500))
    assert news(follower) == []


def test_marks() -> None:
    """What is known of an identity: all up to a number, and some beyond; memory is bounded by how far back is looked."""
    mark = Mark().and_then(np.array([0, 1, 5]), 5)
    assert mark.knows(np.arange(-1, 7)).tolist() == [True, True, True, False, False, False, True, False]
    mark = mark.and_then(np.array([LOOKBACK + 3]), LOOKBACK + 3)
    assert (mark.floor, mark.beyond.tolist()) == (3, [5, LOOKBACK + 3])
    assert mark.and_then(np.arange(10), 9).floor == 3


def test_signs_of_change(path: Path) -> None:
    """Every commit of messages changes what is told of its identity, and others do not."""
    with Archive.create_or_open(path) as archive:
        writer = archive.writer(WHO)
        assert messages_of(path) == {}
        seen = []
        for n in range(3):
            writer.append(rows([n]), {})
            seen.append(messages_of(path)[WHO])
        assert len(set(seen)) == 3
        assert messages_of(path) == {WHO: seen[-1]}
    assert messages_of(path) == {WHO: (0, 1)}
