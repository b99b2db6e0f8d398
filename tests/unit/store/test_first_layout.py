"""An archive of the first layout (tests/data/archive-v1) opens, answers, is replayed and recorded into by this version."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from peerwatch.app.replay import MADE_BY_DETECTION, Replay, replay
from peerwatch.schema.registry import all_tables
from peerwatch.schema.table import Identity
from peerwatch.store import layout
from peerwatch.store.archive import Archive
from peerwatch.store.compaction import MANY
from peerwatch.store.history import History
from peerwatch.store.query import Query
from peerwatch.store.removal import Removal
from peerwatch.store.retention import Retention
from peerwatch.store.upkeep import Upkeep
from tests.unit.store.conftest import files, sealed, tables

V1 = Path(__file__).parents[2] / "data/archive-v1"
ROWS = {"message": 1638, "address": 1020, "inventory": 334, "rate": 634, "finding": 1, "incident": 1, "version": 22, "ping": 464}
LIVE = Identity("live", 1_767_225_600_000_000_000, "usdt")
CAPTURE = "SELECT DISTINCT session FROM message WHERE node = 'relay'"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A copy of it that may be changed."""
    return Path(shutil.copytree(V1, tmp_path / "v1"))


def counts(path: Path) -> dict[str, int]:
    return {t: Query(path).table(f"SELECT count(*)::INT AS n FROM {t}")["n"].to_pylist()[0] for t in all_tables()}


def test_sql_sees_every_row_and_every_table_of_today(old: Path) -> None:
    """Sealed and written ahead; tables and columns that came later are there and empty."""
    before = {p: p.read_bytes() for p in old.rglob("*") if p.is_file()}
    found = counts(old)
    assert {t: found[t] for t in ROWS} == ROWS
    assert set(all_tables()) - layout.read_meta(old).tables.keys() >= {"weird", "handshake", "payload"}
    for name, table in all_tables().items():
        assert Query(old).table(f"SELECT * FROM {name}").schema.names == table.arrow.names
    sums = Query(old).table("SELECT width, sum(messages)::INT AS n FROM rate GROUP BY width ORDER BY width")
    assert sums["n"].to_pylist() == [1578] * 3
    assert {p: p.read_bytes() for p in old.rglob("*") if p.is_file()} == before


def test_what_it_lacks_is_said(old: Path) -> None:
    """Tables that came later, with all their columns, also when this version has recorded nothing of them."""
    lacking = History(old, all_tables()).lacking()
    assert lacking["handshake"] == frozenset(all_tables()["handshake"].columns)
    assert "message" not in lacking
    assert "address" not in lacking
    Archive.create_or_open(old).close()
    assert History(old, all_tables()).lacking() == {}


def test_it_is_replayed(old: Path, tmp_path: Path) -> None:
    """The same rows, and the same finding."""
    rows, lost = replay(Replay(old, tmp_path / "new"), [])
    assert (lost, rows > 3000) == (0, True)
    found, then = counts(tmp_path / "new"), counts(old)
    same = ["message", "address", "inventory", "version", "ping", "connection"]
    assert {t: found[t] for t in same} == {t: then[t] for t in same}
    kinds = "SELECT kind, subject FROM finding"
    assert Query(tmp_path / "new").table(kinds).to_pylist() == Query(old).table(kinds).to_pylist()
    assert {"finding", "incident"} == MADE_BY_DETECTION


def test_it_is_recorded_into(old: Path) -> None:
    """Every source goes on where it was; what a kill left is sealed; its roll-ups lie apart from then on, and all add up."""
    (session,) = Query(old).table(CAPTURE)["session"].to_pylist()
    relay = Identity("relay", session, "capture")
    with Archive.create_or_open(old) as archive:
        assert archive.writer(relay).position["seq"] == 70
        writer = archive.writer(LIVE)
        assert writer.position == {"next": 60}
        writer.append(tables(60, 20, LIVE), {"next": 80})
    assert archive.sealing_failure is None
    assert not list((old / "wal").rglob("*.arrows"))
    found = counts(old)
    expected = ROWS | {"message": 1658, "ping": 466, "rate": found["rate"]}
    assert {t: found[t] for t in ROWS} == expected
    seqs = Query(old).table("SELECT seq FROM message WHERE node = 'live' ORDER BY seq")["seq"].to_pylist()
    assert seqs == list(range(80))
    sums = Query(old).table("SELECT width, sum(messages)::INT AS n FROM rate GROUP BY width ORDER BY width")
    assert sums["n"].to_pylist() == [1578, 1658, 1658]
    assert {f.rollup for f in files(old, "rate") if f.identity == LIVE} == {True}


def test_its_files_are_put_together_and_removed(old: Path) -> None:
    """Files with seconds and roll-ups stay so, and are kept as long as roll-ups."""
    (session,) = Query(old).table(CAPTURE)["session"].to_pylist()
    relay = Identity("relay", session, "capture")
    before = Query(old).table("SELECT * FROM rate WHERE node = 'relay' ORDER BY ALL")
    kept = Upkeep(old)
    paths = sealed(old, MANY, identity=relay, first=2)
    kept.sealed(relay, [*paths, *(f.path.relative_to(old) for f in files(old, "rate"))])
    for _ in kept.round():
        pass
    assert kept.failure is None
    old_rows = "SELECT * FROM rate WHERE node = 'relay' AND ts > 1750000000000000000 ORDER BY ALL"
    assert Query(old).table(old_rows).to_pylist() == before.to_pylist()
    Removal(old, Retention(rows_days=0, seconds_days=0)).apply(date(2026, 12, 24))
    assert counts(old)["message"] > 1578
    assert Query(old).table(old_rows).to_pylist() == before.to_pylist()
