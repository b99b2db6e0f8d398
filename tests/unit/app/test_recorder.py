"""Recording rows and positions, of one session and of several; killed processes are in test_watch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from peerwatch.app import recorder as module
from peerwatch.app.recorder import MOST_FORMER, Recorder, joined
from peerwatch.schema.table import Identity
from peerwatch.schema.tables.connection import Connection
from peerwatch.schema.tables.node import Node
from peerwatch.schema.tables.ping import Ping
from peerwatch.store import wal
from peerwatch.store.archive import Archive
from peerwatch.store.errors import ArchiveError, NotRecordingError
from peerwatch.store.query import Query

FIRST, SECOND = Identity("alice", 100, "usdt"), Identity("alice", 200, "usdt")
OTHER = Identity("bob", 150, "usdt")


def pings(who: Identity, *seqs: int) -> pa.RecordBatch:
    n = len(seqs)
    return Ping.build(who, {"ts": [s + 1 for s in seqs], "seq": seqs, "peer": [1] * n, "inbound": [True] * n, "pong": [True] * n})


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive.create_or_open(tmp_path / "archive") as opened:
        yield opened


def recorded(archive: Archive) -> dict[tuple[str, int], list[int]]:
    """Sequence numbers in the archive, by node and session."""
    found: dict[tuple[str, int], list[int]] = {}
    for row in Query(archive.path).table("SELECT node, session, seq FROM ping ORDER BY node, session, seq").to_pylist():
        found.setdefault((row["node"], row["session"]), []).append(row["seq"])
    return found


def test_rows_of_several_adds_are_one_commit(archive: Archive) -> None:
    """What was gathered is written with the last position, and counted; nothing is in the archive before."""
    recorder = Recorder(archive)
    recorder.add(FIRST, {"ping": pings(FIRST, 0)}, {"at": 1})
    recorder.add(FIRST, {"ping": pings(FIRST, 1, 2), "connection": Connection.empty()}, {"at": 3})
    recorder.add(OTHER, {"ping": pings(OTHER, 0)}, {"at": 1})
    assert recorded(archive) == {}
    assert recorder.flush() == []
    assert recorded(archive) == {("alice", 100): [0, 1, 2], ("bob", 150): [0]}
    assert (recorder.rows, recorder.position(FIRST), recorder.position(OTHER)) == (4, {"at": 3}, {"at": 1})
    recorder.close()
    assert Recorder(archive).position(FIRST) == {"at": 3}


def test_a_position_without_rows_is_not_written(archive: Archive) -> None:
    """A source that has nothing writes nothing, however often it says where it is."""
    recorder = Recorder(archive)
    recorder.add(FIRST, {"ping": pings(FIRST, 0)}, {"at": 1})
    recorder.flush()
    size = sum(p.stat().st_size for p in archive.path.rglob("*") if p.is_file())
    for n in range(20):
        recorder.add(FIRST, {}, {"at": 1, "beat": n})
        recorder.flush()
    assert sum(p.stat().st_size for p in archive.path.rglob("*") if p.is_file()) == size
    recorder.close()


def test_the_position_on_its_way_counts(archive: Archive) -> None:
    """A session that is taken up again before its rows are written goes on after them."""
    recorder = Recorder(archive)
    assert recorder.position(FIRST) == {}
    recorder.add(FIRST, {"ping": pings(FIRST, 0)}, {"at": 1})
    assert recorder.position(FIRST) == {"at": 1}
    recorder.close()


def test_rows_without_a_position_keep_the_one_before(archive: Archive) -> None:
    """What is made elsewhere, or is a part of a chunk, does not make a source forget where it was."""
    recorder = Recorder(archive)
    recorder.add(FIRST, {"ping": pings(FIRST, 0)}, {"at": 1})
    recorder.flush()
    recorder.add(FIRST, {"ping": pings(FIRST, 1)})
    recorder.add(FIRST, {"ping": pings(FIRST, 2)}, {})
    recorder.flush()
    assert recorder.position(FIRST) == {"at": 1}
    recorder.close()


def restarted(archive: Archive, recorder: Recorder) -> tuple[Archive, Recorder]:
    """The next process."""
    recorder.close()
    archive.close()
    again = Archive(archive.path)
    return again, Recorder(again)


@pytest.mark.parametrize("asked", [[FIRST, SECOND], [SECOND, FIRST]])
def test_sessions_of_a_node_one_after_the_other(archive: Archive, asked: list[Identity]) -> None:
    """A restarted node is recorded at once, and each session's position is there after a restart of ours, whoever asks first."""
    recorder = Recorder(archive)
    assert [recorder.position(who) for who in asked] == [{}, {}]
    recorder.add(FIRST, {"ping": pings(FIRST, 0)}, {"at": "first"})
    recorder.add(SECOND, {"ping": pings(SECOND, 0)}, {"at": "second"})
    recorder.flush()
    archive, recorder = restarted(archive, recorder)
    assert {who.session: recorder.position(who) for who in asked} == {100: {"at": "first"}, 200: {"at": "second"}}
    recorder.close()
    assert recorded(archive) == {("alice", 100): [0], ("alice", 200): [0]}


def test_sessions_of_a_node_in_turns(archive: Archive) -> None:
    """Last rows of a process that ended while its successor is recorded: none is lost or doubled, no position is mixed up."""
    recorder = Recorder(archive)
    for n in range(4):
        recorder.add(FIRST, {"ping": pings(FIRST, n)}, {"first": n})
        recorder.add(SECOND, {"ping": pings(SECOND, n)}, {"second": n})
        recorder.flush()
        assert (recorder.position(FIRST), recorder.position(SECOND)) == ({"first": n}, {"second": n})
        if n % 2:
            archive, recorder = restarted(archive, recorder)
    recorder.add(FIRST, {"ping": pings(FIRST, 4)}, {"first": 4})
    recorder.flush()
    archive, recorder = restarted(archive, recorder)
    assert (recorder.position(FIRST), recorder.position(SECOND)) == ({"first": 4}, {"second": 3})
    recorder.end(SECOND)
    recorder.end(FIRST)
    recorder.flush()
    assert recorder.position(SECOND) == {"second": 3}
    recorder.close()
    archive.close()
    assert recorded(archive) == {("alice", 100): [0, 1, 2, 3, 4], ("alice", 200): [0, 1, 2, 3]}


def test_few_former_sessions_are_remembered(archive: Archive) -> None:
    """The newest ones, in the order of their sessions."""
    recorder = Recorder(archive)
    many = [Identity("alice", session, "usdt") for session in range(5, 40)]
    for who in many:
        recorder.add(who, {"ping": pings(who, 0)}, {"at": who.session})
        recorder.flush()
    archive, recorder = restarted(archive, recorder)
    known = [who.session for who in many if recorder.position(who)]
    assert known == list(range(40 - MOST_FORMER - 1, 40))
    recorder.close()
    archive.close()


def test_an_ended_session_is_sealed(archive: Archive) -> None:
    """Its writer is closed with the next flush, and its rows are Parquet; ending what was never recorded does nothing."""
    recorder = Recorder(archive)
    recorder.add(FIRST, {"ping": pings(FIRST, 0)}, {"at": 1})
    recorder.end(FIRST)
    recorder.end(OTHER)
    recorder.flush()
    assert len(list(archive.path.rglob("ping/*/*/*.parquet"))) == 1
    assert recorder.position(FIRST) == {"at": 1}
    recorder.close()


def test_much_is_written_without_waiting(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a number of bytes on it is time to write, whatever the clock says."""
    recorder = Recorder(archive)
    monkeypatch.setattr(module, "FLUSH_BYTES", 3 * pings(FIRST, 0).nbytes)
    held = []
    for n in range(4):
        recorder.add(FIRST, {"ping": pings(FIRST, n)})
        held.append(recorder.full)
    assert held == [False, False, True, True]
    recorder.flush()
    assert not recorder.full
    recorder.close()


def full_disk(*_args: Any, **_kwargs: Any) -> None:
    raise NotRecordingError("not recording: the disk of the archive is full")


def test_what_cannot_be_written_is_given_up_and_told(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its events (not the rows made of them) and bytes, for each identity; what was there stays, and writing goes on."""
    recorder = Recorder(archive)
    recorder.add(FIRST, {"ping": pings(FIRST, 0)}, {"at": 1})
    recorder.flush()
    with monkeypatch.context() as patch:
        patch.setattr(wal.Segment, "append", full_disk)
        seen = Node.build(FIRST, {"ts": [5, 9, 7], "seq": [1, 2, 3], "event": ["found"] * 3})
        recorder.add(FIRST, {"ping": pings(FIRST, 1, 2), "node": seen}, {"at": 3})
        (lost,) = recorder.flush()
    assert (lost.identity, lost.events, lost.bytes) == (FIRST, 3, pings(FIRST, 1, 2).nbytes + seen.nbytes)
    times = [*seen["ts"].to_pylist(), *pings(FIRST, 1, 2)["ts"].to_pylist()]
    assert lost.span == (min(times), max(times))
    assert "disk of the archive is full" in lost.reason
    assert recorder.position(FIRST) == {"at": 1}
    recorder.add(FIRST, {"ping": pings(FIRST, 3)}, {"at": 4})
    assert recorder.flush() == []
    assert (recorded(archive), recorder.rows) == ({("alice", 100): [0, 3]}, 2)
    recorder.close()


def test_a_full_disk_does_not_keep_a_new_node_out(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing new can be opened then: positions are read as they stand, rows are given up, and later all goes on."""
    recorder = Recorder(archive)
    recorder.add(FIRST, {"ping": pings(FIRST, 0)}, {"at": 1})
    recorder.add(SECOND, {"ping": pings(SECOND, 0)}, {"at": 2})
    recorder.flush()
    archive, recorder = restarted(archive, recorder)
    with monkeypatch.context() as patch:
        patch.setattr(wal.Segment, "create", full_disk)
        patch.setattr(wal.Segment, "__init__", full_disk)
        assert [recorder.position(who) for who in (OTHER, FIRST, SECOND)] == [{}, {"at": 1}, {"at": 2}]
        recorder.add(OTHER, {"ping": pings(OTHER, 0)}, {"at": 1})
        recorder.add(SECOND, {"ping": pings(SECOND, 1)}, {"at": 3})
        assert [lost.identity for lost in recorder.flush()] == [OTHER, SECOND]
    assert [recorder.position(who) for who in (OTHER, FIRST, SECOND)] == [{}, {"at": 1}, {"at": 2}]
    recorder.add(OTHER, {"ping": pings(OTHER, 1)}, {"at": 2})
    assert recorder.flush() == []
    recorder.close()
    archive.close()
    assert recorded(archive) == {("alice", 100): [0], ("alice", 200): [0], ("bob", 150): [1]}


def test_what_another_process_records_is_an_error(archive: Archive) -> None:
    """Not a full disk: it must be said at once, in one line."""
    first = Recorder(archive)
    first.add(FIRST, {"ping": pings(FIRST, 0)}, {"at": 1})
    first.flush()
    with Archive(archive.path) as same, pytest.raises(ArchiveError, match="another peerwatch records usdt of node alice"):
        Recorder(same).position(FIRST)
    first.close()


def test_joining_keeps_labels() -> None:
    """Batches with different dictionaries become one with the same texts; a single one is left as it is."""
    one = Connection.build(FIRST, {"ts": [1], "seq": [1], "peer": [1], "event": ["opened"], "network": ["ipv4"]})
    two = Connection.build(FIRST, {"ts": [2], "seq": [2], "peer": [1], "event": ["closed"], "network": [None]})
    both = joined([one, two, one])
    assert both.schema.equals(Connection.arrow)
    assert both.column("event").to_pylist() == ["opened", "closed", "opened"]
    assert both.column("network").to_pylist() == ["ipv4", None, "ipv4"]
    assert joined([one]) is one
