"""Tests of removing what retention says."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from peerwatch.schema.table import Identity
from peerwatch.store import layout, readers
from peerwatch.store.errors import ArchiveError
from peerwatch.store.history import History
from peerwatch.store.layout import DAY
from peerwatch.store.query import Query
from peerwatch.store.readers import Hold
from peerwatch.store.removal import LONG_READ_NS, Removal
from peerwatch.store.retention import Retention
from peerwatch.store.seal import seal
from tests.unit.store.conftest import WHO, Steps, files, sealed, segment, tables

TODAY = date(2023, 11, 16)
"""Messages of `sealed` begin on 2023-11-14; with a step of DAY // 40 and 20 a segment, two segments are of one day, nearly."""


@pytest.fixture
def days(root: Path) -> Path:
    """Three days of messages, pings and roll-ups."""
    sealed(root, 4, step_ns=DAY // 40)
    return root


def dates(root: Path, table: str) -> list[str]:
    return sorted({f.date for f in files(root, table)})


def seen(root: Path, table: str) -> list[str]:
    """Dates of the rows that a reader sees."""
    sql = f"SELECT DISTINCT strftime(utc(ts), '%Y-%m-%d') AS d FROM {table} ORDER BY d"
    return Query(root).table(sql)["d"].to_pylist()


def test_old_rows_go_and_roll_ups_stay(days: Path) -> None:
    """Whole dates, folders too, and archive.json says up to which."""
    assert dates(days, "message") == ["2023-11-14", "2023-11-15", "2023-11-16"]
    Removal(days, Retention(rows_days=1)).apply(TODAY)
    assert dates(days, "message") == dates(days, "ping") == seen(days, "message") == ["2023-11-15", "2023-11-16"]
    assert dates(days, "rate") == ["2023-11-14", "2023-11-15", "2023-11-16"]
    meta = layout.read_meta(days)
    assert (meta.removed, meta.going) == ({"message": "2023-11-14", "ping": "2023-11-14"}, [])
    assert not (days / "message" / "date=2023-11-14").exists()
    Removal(days, Retention(rows_days=0, rollup_days=0)).apply(TODAY)
    assert layout.read_meta(days).removed == {"message": "2023-11-15", "ping": "2023-11-15", "rate/rollup": "2023-11-15"}
    assert seen(days, "rate") == seen(days, "message") == ["2023-11-16"]


def test_nothing_unsealed_goes(root: Path) -> None:
    """Not the rows written ahead, nor the files of a segment that still counts."""
    old = segment(root, 0, tables(0, 20))
    shutil.copytree(root / "wal", root.parent / "wal")
    sealed(root, 1, first=1, step_ns=DAY // 4)
    seal(root, old)
    shutil.rmtree(root / "wal")
    shutil.copytree(root.parent / "wal", root / "wal")
    there = files(root, "message")
    Removal(root, Retention(rows_days=1, bytes=0)).apply(TODAY)
    assert [f.first for f in files(root, "message")] == [0]
    assert len(there) > 1
    assert Query(root).table("SELECT count(*)::INT AS n FROM message")["n"].to_pylist() == [20]


def test_a_damaged_file_is_named_and_goes_like_any_other(days: Path) -> None:
    """It does not keep retention from its work: by size, seconds go before roll-ups, what can be read of them or not."""
    beside = files(days, "rate")[0].path
    damaged = beside.parent.parent / beside.name
    damaged.write_bytes(b"PAR1garbage")
    removal = Removal(days, Retention(rows_days=0))
    removal.apply(TODAY)
    assert removal.failure is not None
    assert str(damaged) in removal.failure
    assert "\n" not in removal.failure
    assert dates(days, "message") == ["2023-11-16"]
    Removal(days, Retention(bytes=0)).apply(TODAY)
    assert not damaged.exists()


def test_who_reads_for_long_is_named(days: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive does not get smaller as long as somebody reads what was removed, and that is said after some minutes."""
    hold, now = Hold(days), readers.now()
    removal = Removal(days, Retention(rows_days=0))
    removal.apply(TODAY)
    assert removal.failure is None
    monkeypatch.setattr(readers, "now", lambda: now + LONG_READ_NS + 10**9)
    removal.apply(TODAY)
    assert removal.failure is not None
    assert "still reading" in removal.failure
    hold.release()
    removal.apply(TODAY)
    assert removal.failure is None


def test_a_reader_keeps_what_it_began_with(days: Path) -> None:
    """A history that is being replayed loads to its end; others do not see what goes any more; then it is deleted."""
    history = History(days, ["message"])
    removal = Removal(days, Retention(rows_days=0))
    removal.apply(TODAY)
    assert seen(days, "message") == ["2023-11-16"]
    assert len(dates(days, "message")) == 3
    assert {Path(name).parts[1] for name in layout.read_meta(days).going} == {"date=2023-11-14", "date=2023-11-15"}
    rows = sum(piece.load().num_rows for _, tape in history.tapes(WHO) for piece in tape)
    assert rows == 80
    later = Hold(days)
    del history
    removal.apply(TODAY)
    assert dates(days, "message") == ["2023-11-16"]
    assert layout.read_meta(days).going == []
    later.release()


def test_bytes_that_go_are_not_counted_again(days: Path) -> None:
    """While a reader holds them, no more is removed for their sake."""
    hold = Hold(days)
    total = sum(p.stat().st_size for p in days.rglob("*") if p.is_file())
    removal = Removal(days, Retention(bytes=total - 1))
    for _ in range(3):
        removal.apply(TODAY)
        assert seen(days, "message") == ["2023-11-15", "2023-11-16"]
    hold.release()
    removal.apply(TODAY)
    assert dates(days, "message") == ["2023-11-15", "2023-11-16"]


def test_what_was_replaced_goes_with_what_replaced_it(days: Path) -> None:
    """Files that a crash left do not come back to life when the one that was made of them is removed."""
    first = files(days, "message")[0]
    shutil.copy(first.path, first.folder / f"usdt-{WHO.session}-0-9.parquet")
    before = seen(days, "message")
    assert before[0] == "2023-11-14"
    Removal(days, Retention(rows_days=1)).apply(TODAY)
    assert seen(days, "message") == before[1:]
    assert not first.folder.exists()


def test_seconds_go_before_minutes_unless_they_lie_in_one_file(days: Path) -> None:
    """In the first layout they did: such a file is kept as long as its roll-ups."""
    for day, mixed in (("2023-11-14", True), ("2023-11-15", False)):
        folder = days / "rate" / f"date={day}" / "node=node-a"
        rollup = next((folder / "rollup").iterdir())
        rows = pq.read_table(rollup, partitioning=None)
        seconds = rows.set_column(2, rows.schema.field(2), pa.array(["usdt"] * len(rows)))
        with pq.ParquetWriter(folder / rollup.name, rows.schema, store_schema=False) as writer:
            writer.write_table(seconds)
            if mixed:
                writer.write_table(rows)
    Removal(days, Retention(seconds_days=0)).apply(TODAY)
    there = {("2023-11-14", False), ("2023-11-14", True), ("2023-11-15", True), ("2023-11-16", True)}
    assert {(f.date, f.rollup) for f in files(days, "rate")} == there
    assert layout.read_meta(days).removed == {"rate": "2023-11-15"}


def test_killed_anywhere_rows_of_a_day_are_all_there_or_none(days: Path, steps: Steps) -> None:
    """And the next one ends the work."""
    Removal(days, Retention(rows_days=1)).apply(TODAY)
    assert len(steps.states) > 5
    for state in [*steps.states, days]:
        assert seen(state, "message") in (["2023-11-14", "2023-11-15", "2023-11-16"], ["2023-11-15", "2023-11-16"])
        assert seen(state, "message") == seen(state, "ping")
        assert bool(layout.read_meta(state).removed) == (len(seen(state, "message")) == 2)
        Removal(state, Retention(rows_days=1)).apply(TODAY)
        assert dates(state, "message") == dates(state, "ping") == ["2023-11-15", "2023-11-16"]
        assert layout.read_meta(state) == layout.read_meta(days)


def test_a_disk_without_room_to_say_so_gets_room_first(days: Path, monkeypatch) -> None:
    """When archive.json cannot be written, files go at once, and what went is said as soon as that is possible."""
    write = layout.write_meta
    tries: list[bool] = []

    def full(root: Path, meta: layout.Meta) -> None:
        tries.append(bool(meta.going))
        if len(tries) < 3:
            raise ArchiveError("cannot write: No space left on device")
        write(root, meta)

    monkeypatch.setattr(layout, "write_meta", full)
    removal = Removal(days, Retention(rows_days=1))
    with pytest.raises(ArchiveError, match="No space left"):
        removal.apply(TODAY)
    assert tries == [True, False]
    assert seen(days, "message") == ["2023-11-15", "2023-11-16"]
    removal.apply(TODAY)
    assert layout.read_meta(days).removed == {"message": "2023-11-14", "ping": "2023-11-14"}


def test_nothing_but_files_of_tables_is_ever_deleted(root: Path) -> None:
    """Whatever archive.json names."""
    for name in ("../victim", "inventory.key", "/etc/passwd", "message/date=x/../../inventory.key", "wal/date=a/node=b/c.json"):
        (root.parent / "victim").touch()
        content = json.loads((root / "archive.json").read_text())
        (root / "archive.json").write_text(json.dumps({**content, "going": [name]}))
        with pytest.raises(ArchiveError, match="is no file of a table"):
            Removal(root, Retention()).apply(TODAY)
    assert (root / "inventory.key").exists()
    assert (root.parent / "victim").exists()


def test_nodes_and_sources_are_all_meant(root: Path) -> None:
    """Also those that nobody records any more."""
    for node, source in (("a", "usdt"), ("b", "capture")):
        sealed(root, 4, identity=Identity(node, WHO.session, source), step_ns=DAY // 40)
    Removal(root, Retention(rows_days=0)).apply(TODAY)
    assert {(f.identity.node, f.date) for f in files(root, "message")} == {("a", "2023-11-16"), ("b", "2023-11-16")}
