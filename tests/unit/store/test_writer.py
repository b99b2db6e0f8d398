"""Tests of the writer: appending, going on, and coming through kills and full disks."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from peerwatch.schema.table import Identity
from peerwatch.store import layout, snapshot
from peerwatch.store.archive import Archive
from peerwatch.store.query import Query
from peerwatch.store.sealer import Sealer
from peerwatch.store.wal import Segment
from peerwatch.store.writer import Limits, Writer
from tests.unit.store.conftest import WHO, tables

HERE = Path(__file__).parent
KILLS = 8


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


@pytest.fixture
def sealer(root: Path) -> Iterator[Sealer]:
    made = Sealer(root)
    yield made
    made.close()


def seqs(root: Path, table: str = "message") -> list[int]:
    return Query(root).table(f"SELECT seq FROM {table} ORDER BY seq")["seq"].to_pylist()


def gapless(root: Path) -> int:
    """Number of messages, after making sure that they are those from 0 on, each once, and that every tenth has its ping."""
    query = "SELECT count(*), count(DISTINCT seq), min(seq), max(seq) + 1 FROM {}"
    (message,), (ping,) = (
        [tuple(r.values()) for r in Query(root).table(query.format(t)).to_pylist()] for t in ("message", "ping")
    )
    count = message[0]
    assert message == (count, count, 0, count)
    tenth = -(-count // 10)
    assert ping == (tenth, tenth, 0, tenth * 10 - 9)
    return int(count)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(HERE)}


def test_a_new_writer_has_no_position(root: Path, sealer: Sealer, who) -> None:
    """Nothing was recorded: empty."""
    writer = Writer(root, who, sealer, Limits())
    assert (dict(writer.position), dict(writer.counters)) == ({}, {})
    writer.close()


def test_a_writer_goes_on_where_the_last_one_ended(root: Path, sealer: Sealer, who, rows) -> None:
    """Position and counters outlive it, closed or not, with and without new rows in between."""
    for i in range(4):
        writer = Writer(root, who, sealer, Limits())
        assert writer.position.get("next", 0) == i * 10
        assert writer.counters.get("round", 0) == i
        if i == 2:
            writer.close()
            writer = Writer(root, who, sealer, Limits())
            assert writer.position == {"next": 20}
        writer.append(rows(i * 10, 10), {"next": i * 10 + 10}, {"round": i + 1})
        writer.close()
    assert seqs(root) == list(range(40))
    assert not list((root / "wal").rglob("*.arrows"))


def test_segments_end_by_age(root: Path, sealer: Sealer, who, rows) -> None:
    """After the given time the next append goes into a new segment, and the old one becomes Parquet."""
    clock = Clock()
    writer = Writer(root, who, sealer, Limits(age_s=300), clock)
    for second in range(0, 900, 100):
        clock.now = second
        writer.append(rows(second, 1), {})
    sealer.finish(who)
    names = sorted(p.name for p in (root / "message").rglob("*.parquet"))
    assert names == [f"usdt-{who.session}-0-2.parquet", f"usdt-{who.session}-3-5.parquet"]
    assert [name.first for name, _ in layout.segments(root)] == [6]
    assert seqs(root) == list(range(0, 900, 100))
    writer.close()


def test_segments_end_by_size(root: Path, sealer: Sealer, who, rows) -> None:
    """However young they are."""
    writer = Writer(root, who, sealer, Limits(size_bytes=20_000), Clock())
    for i in range(20):
        writer.append(rows(i * 100, 100), {})
    writer.close()
    assert len(list((root / "message").rglob("*.parquet"))) > 3
    assert seqs(root) == list(range(2000))


def test_a_source_that_says_nothing_leaves_no_files(root: Path, sealer: Sealer, who) -> None:
    """Positions move on for hours, and all that stays is one segment with the last."""
    clock = Clock()
    writer = Writer(root, who, sealer, Limits(), clock)
    for second in range(0, 7200, 60):
        clock.now = second
        writer.append({}, {"at": second})
    writer.close()
    assert not list(root.rglob("*.parquet"))
    (segment,) = layout.segments(root)
    assert [entry.name for entry in segment[1].iterdir()] == ["journal.jsonl"]
    again = Writer(root, who, sealer, Limits())
    assert again.position == {"at": 7140}
    again.close()


def test_a_new_session_seals_the_old_one(root: Path, sealer: Sealer, who, rows) -> None:
    """Its rows stay, its position goes: the source began to count anew."""
    old = Writer(root, who, sealer, Limits())
    old.append(rows(0, 10), {"next": 10})
    old._leases.give_back(old.identity)  # as if the process had died
    later = Identity(who.node, who.session + 5, who.source)
    new = Writer(root, later, sealer, Limits())
    assert new.position == {}
    new.append(rows(0, 10, later), {"next": 10})
    sealer.finish(who)
    assert [name.identity for name, _ in layout.segments(root)] == [later]
    new.close()
    assert seqs(root) == sorted([*range(10), *range(10)])


def test_numbers_go_on_when_the_write_ahead_files_were_deleted(root: Path, sealer: Sealer, who, rows) -> None:
    """The position is lost then, but no file of before is ever written over."""
    writer = Writer(root, who, sealer, Limits())
    writer.append(rows(0, 10), {"next": 10})
    writer.append(rows(10, 10), {"next": 20})
    writer.close()
    shutil.rmtree(root / "wal")
    (root / "wal").mkdir()
    writer = Writer(root, who, sealer, Limits())
    assert writer.position == {}
    writer.append(rows(20, 10), {"next": 30})
    assert seqs(root) == list(range(30))
    writer.append(rows(30, 10), {"next": 40})
    writer.close()
    assert seqs(root) == list(range(40))


def test_rows_that_do_not_belong_are_refused(root: Path, sealer: Sealer, who, rows) -> None:
    """Unknown tables, other columns, other nodes: mistakes of the caller, found before anything is written."""
    writer = Writer(root, who, sealer, Limits())
    good = rows(0, 5)
    with pytest.raises(KeyError):
        writer.append({"hologram": good["ping"]}, {})
    with pytest.raises(ValueError, match="has not the columns"):
        writer.append({"message": good["ping"]}, {})
    with pytest.raises(ValueError, match="rows of other nodes"):
        writer.append(rows(0, 5, Identity("node-b", who.session, who.source)), {})
    writer.append(good, {"next": 5})
    writer.close()
    assert seqs(root) == list(range(5))
    with pytest.raises(ValueError, match="closed"):
        writer.append(good, {})


def test_a_second_process_is_turned_away(root: Path, sealer: Sealer, who) -> None:
    """One process writes a source of a node; the other is told which, and what to do."""
    writer = Writer(root, who, sealer, Limits())
    code = f"""
from pathlib import Path
from conftest import WHO
from peerwatch.store.archive import Archive
Archive(Path({str(root)!r})).writer(WHO)
"""
    second = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert "another peerwatch records usdt of node node-a" in second.stderr.splitlines()[-1]
    other = Writer(root, Identity(who.node, who.session, "capture"), sealer, Limits())
    other.close()
    writer.close()
    Writer(root, who, sealer, Limits()).close()


def test_leftovers_of_a_crash_are_deleted(root: Path, sealer: Sealer, who) -> None:
    """Segments that were sealed but not deleted yet, and such that were never begun; those of others stay."""
    for name in (f"usdt-{who.session}-node-a-0.gone", f".usdt-{who.session}-node-a-7", "usdt-1-node-b-0.gone"):
        (root / "wal" / name).mkdir()
        (root / "wal" / name / "journal.jsonl").write_bytes(b"half")
    writer = Writer(root, who, sealer, Limits())
    assert sorted(p.name for p in (root / "wal").iterdir() if p.is_dir()) == [
        "usdt-1-node-b-0.gone",
        f"usdt-{who.session}-node-a-0",
    ]
    writer.close()


def test_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    """A program that appends and seals all the time is killed (-9) at random moments.

    After each kill a reader sees exactly the rows that were committed, before anybody recovered anything; the program goes on
    from its position, and in the end every row is there once.
    """
    chance = random.Random(os.environ.get("PYTEST_XDIST_TESTRUNUID"))  # noqa: S311 - moments, not secrets
    root = tmp_path / "archive"
    said = 0
    for _ in range(KILLS):
        program = subprocess.Popen(
            [sys.executable, HERE / "record.py", root, "0.001"], env=environment(), stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert program.stdout is not None
        first = program.stdout.readline()
        assert int(first) > said
        time.sleep(chance.uniform(0, 0.3))
        program.kill()
        said = int((first + program.stdout.read()).splitlines()[-1])
        program.stdout.close()
        program.wait()
        found = gapless(root)
        # The append under way may have been committed and not yet been said; it has at most 300 rows.
        assert said <= found <= said + 300
        said = found
    with Archive.create_or_open(root) as archive:
        assert archive.writer(Identity("node-a", 1_700_000_000_000_000_000, "usdt")).position == {"next": said}
    assert gapless(root) == said
    minutes = "SELECT sum(messages)::BIGINT AS n FROM rate WHERE source = 'rollup' AND width = 60"
    assert Query(root).table(minutes)["n"].to_pylist() == [said]
    assert len(snapshot.take(root, ["message"]).sealed) > KILLS
    assert not list((root / "wal").rglob("*.arrows"))


def test_a_full_disk_keeps_everything_recorded_before(tmp_path: Path) -> None:
    """On a real file system of 3 MB: appends fail whole, reading goes on, and so does recording once there is space again."""
    if os.geteuid() != 0 and subprocess.run(["unshare", "-Urm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("needs root or user namespaces, to mount a small file system")
    unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    program = [*unshare, sys.executable, HERE / "fill_disk.py", tmp_path]
    done = subprocess.run(program, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > 50_000


def test_rows_reach_the_disk_before_the_position_that_counts_on_them(
    root: Path, sealer: Sealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new segment begins with a position; whatever it says was recorded before is synced before it is."""
    order: list[str] = []
    plain = os.fdatasync

    def noted(handle: int) -> None:
        order.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        plain(handle)

    monkeypatch.setattr(os, "fdatasync", noted)
    create = Segment.create

    def created(*arguments: object) -> Segment:
        order.append("new segment")
        return create(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Segment, "create", created)
    writer = Writer(root, WHO, sealer, Limits(size_bytes=1))
    order.clear()
    for number in range(2):
        writer.append(tables(number * 10, 10), {"at": number})
    assert sorted(order[:-1]) == ["journal.jsonl", "message.arrows", "ping.arrows"]
    assert order[-1] == "new segment"
    writer.close()
