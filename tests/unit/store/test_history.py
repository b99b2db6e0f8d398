"""Tests of reading an archive in order of time."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from peerwatch.schema.registry import all_tables
from peerwatch.schema.table import Identity
from peerwatch.schema.tables.rate import Rate
from peerwatch.store.archive import Archive
from peerwatch.store.errors import ArchiveError
from peerwatch.store.history import History
from peerwatch.store.layout import DAY
from peerwatch.store.writer import Limits


def read(history: History, identity: Identity) -> dict[str, list[int]]:
    """All numbers, table by table, after checking every bound that a piece gives."""
    found: dict[str, list[int]] = {}
    for table, pieces in history.tapes(identity):
        times: list[int] = []
        bounds: list[tuple[int, int]] = []
        for piece in pieces:
            batch = piece.load()
            assert batch.schema.equals(all_tables()[table].arrow)
            bounds.append((piece.low, len(times)))
            times += batch.column("ts").to_pylist()
            found.setdefault(table, []).extend(batch.column("seq").to_pylist())
        for low, begin in bounds:
            assert min(times[begin:]) >= low
        assert bounds == sorted(bounds)
    return {table: sorted(seqs) for table, seqs in found.items()}


@pytest.mark.parametrize("step", [1, 1_000_000, DAY // 300])
def test_every_row_is_read_once_within_its_bounds(root: Path, who, rows, step: int) -> None:
    """Sealed and written ahead, within a second or over days, in appends that go back in time."""
    archive = Archive.create_or_open(root, Limits(size_bytes=30_000))
    writer = archive.writer(who)
    order = [i ^ 1 for i in range(40)]
    for i in order[:30]:
        writer.append(rows(i * 50, 50, step_ns=step), {})
    writer.close()
    writer = archive.writer(who)
    for i in order[30:35]:
        writer.append(rows(i * 50, 50, step_ns=step), {})
    history = History(root, ["message", "ping"])
    for i in order[35:]:
        writer.append(rows(i * 50, 50, step_ns=step), {})
    assert history.identities() == [who]
    expected = sorted(s for i in order[:35] for s in range(i * 50, i * 50 + 50))
    assert read(history, who) == {"message": expected, "ping": [s for s in expected if s % 10 == 0]}
    archive.close()


def test_only_the_tables_asked_for_are_read(root: Path, who, rows) -> None:
    """The others cost nothing."""
    with Archive.create_or_open(root) as archive:
        archive.writer(who).append(rows(0, 20), {})
    assert read(History(root, ["ping"]), who) == {"ping": [0, 10]}
    with pytest.raises(KeyError):
        History(root, ["hologram"])


def test_roll_ups_are_left_out(root: Path, who, rows) -> None:
    """They are made anew of the messages; rows of `rate` that were recorded are given, sealed or not."""
    columns = {"ts": [1, 2], "seq": [7, 8], "width": [1, 1], "inbound": [True, False], "type": ["inv", "tx"]}
    rate = Rate.build(who, {**columns, "messages": [1, 2], "bytes": [1, 2], "errors": [0, 0]})
    archive = Archive.create_or_open(root)
    archive.writer(who).append({**rows(0, 100), "rate": rate}, {})
    before = read(History(root, ["rate", "message"]), who)
    archive.close()
    after = read(History(root, ["rate", "message"]), who)
    assert before == after == {"message": list(range(100)), "rate": [7, 8]}


def test_identities_come_in_the_order_in_which_they_began(root: Path, who, rows) -> None:
    """Those without rows are left out."""
    early = Identity("node-z", who.session - 1, "usdt")
    late = Identity("node-a", who.session, "capture")
    with Archive.create_or_open(root) as archive:
        for identity in (who, early, late):
            archive.writer(identity).append(rows(0, 5, identity), {})
        archive.writer(Identity("silent", 1, "usdt")).append({}, {"at": 1})
    assert History(root, ["message"]).identities() == [early, late, who]


def test_an_empty_archive_has_no_identities(root: Path) -> None:
    """And no error."""
    assert History(root, all_tables()).identities() == []


def test_files_without_a_label_that_came_later_are_read(root: Path, who, rows) -> None:
    """As null, though labels are read in another way than other columns."""
    with Archive.create_or_open(root) as archive:
        archive.writer(who).append(rows(0, 20), {})
    path = next((root / "message").rglob("*.parquet"))
    pq.write_table(pq.read_table(path, partitioning=None).drop_columns(["error"]), path, store_schema=False)
    ((_, pieces),) = History(root, ["message"]).tapes(who)
    assert next(pieces).load().column("error").null_count == 20


def test_a_damaged_file_is_named(root: Path, who, rows) -> None:
    """In one error of the archive, when its turn comes."""
    with Archive.create_or_open(root) as archive:
        archive.writer(who).append(rows(0, 20), {})
    path = next((root / "message").rglob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-50])
    ((_, pieces),) = History(root, ["message"]).tapes(who)
    with pytest.raises(ArchiveError, match=path.name):
        next(pieces)
