"""Tests of the write-ahead segment."""

from __future__ import annotations

import errno
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwatch.schema.table import Identity
from peerwatch.schema.tables.message import Message
from peerwatch.schema.tables.version import Version
from peerwatch.store.errors import ArchiveError, NotRecordingError
from peerwatch.store.journal import Header, Journal
from peerwatch.store.wal import WORD, Segment, boot, not_recording, read_stream

HEADER = Header("n", 1, "usdt", 3, boot(), {}, {})


@pytest.fixture
def segment(root: Path) -> Iterator[Segment]:
    opened = Segment.create(root, HEADER)
    yield opened
    opened.close()


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let the kernel refuse to write any file beyond a size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def stored(segment: Segment, table: str) -> pa.Table:
    """What the file of a table holds, read as any Arrow program would."""
    return pa.ipc.open_stream((segment.path / f"{table}.arrows").read_bytes()).read_all()


labels = st.text(min_size=1, max_size=3)


@given(st.lists(st.lists(st.tuples(labels, st.none() | labels), max_size=20), min_size=1, max_size=8), st.integers(0, 10**9))
def test_labels_that_change_from_batch_to_batch_come_back(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[str, str | None]]], nonce: int
) -> None:
    """Every batch has a dictionary of its own; each row still reads as the text that was written."""
    folder = tmp_path_factory.mktemp("wal")
    (folder / "wal").mkdir()
    segment = Segment.create(folder, Header("n", nonce, "usdt", 0, "", {}, {}))
    who = Identity("n", nonce, "usdt")
    for pairs in batches:
        zeros = [0] * len(pairs)
        columns = dict.fromkeys(("ts", "seq", "peer", "size", "kept"), zeros)
        columns |= {"inbound": [False] * len(pairs), "unreadable": [False] * len(pairs)}
        row = {**columns, "type": [p[0] for p in pairs], "error": pa.array([p[1] for p in pairs], pa.utf8()).dictionary_encode()}
        segment.append({"message": Message.build(who, row)}, {}, {})
    written = [pair for pairs in batches for pair in pairs]
    if written:
        read = stored(segment, "message")
        assert list(zip(read["type"].to_pylist(), read["error"].to_pylist(), strict=True)) == written
    segment.close()


def test_an_append_counts_with_its_line(segment: Segment, rows) -> None:
    """The journal's last line tells the rows and lengths of every table, and the position."""
    for i in range(3):
        segment.append(rows(i * 20, 20), {"next": i * 20 + 20}, {"lost": i})
    commit = Journal(segment.path).last()
    assert commit == segment.last
    assert commit is not None
    assert (commit.n, commit.position, commit.counters) == (5, {"next": 60}, {"lost": 2})
    assert commit.rows == {"message": 60, "ping": 6}
    assert commit.lengths == {n: (segment.path / f"{n}.arrows").stat().st_size for n in ("message", "ping")}
    assert stored(segment, "message")["seq"].to_pylist() == list(range(60))


def test_an_append_without_rows_is_a_commit_too(segment: Segment, rows) -> None:
    """A source that saw nothing still moves on."""
    segment.append({name: batch.slice(0, 0) for name, batch in rows(0, 1).items()}, {"next": 9}, {})
    assert segment.last is not None
    assert (segment.last.position, segment.last.rows) == ({"next": 9}, {})
    assert not (segment.path / "message.arrows").exists()


def test_a_write_that_fails_leaves_nothing_behind(segment: Segment, rows) -> None:
    """The kernel refuses bytes in the middle of an append: files and journal are as they were, and the segment takes no more."""
    segment.append(rows(0, 100), {"next": 100}, {})
    before = {f.name: f.read_bytes() for f in segment.path.iterdir()}
    with files_of_at_most(max(map(len, before.values())) + 100), pytest.raises(NotRecordingError, match="File too large"):
        segment.append(rows(100, 5000), {"next": 5100}, {})
    assert {f.name: f.read_bytes() for f in segment.path.iterdir()} == before
    assert segment.broken
    assert segment.last is not None
    assert segment.last.position == {"next": 100}


def test_a_segment_without_commits_is_used_again_after_a_failure(segment: Segment, rows) -> None:
    """There is nothing in it to keep, so its streams begin anew."""
    with files_of_at_most(2000), pytest.raises(NotRecordingError):
        segment.append(rows(0, 5000), {"next": 5000}, {})
    assert not segment.broken
    segment.append(rows(0, 50), {"next": 50}, {})
    assert stored(segment, "message")["seq"].to_pylist() == list(range(50))
    assert stored(segment, "message")["type"].to_pylist()[:2] == ["inv", "tx"]


def test_a_position_that_is_not_json_takes_the_rows_back(segment: Segment, rows) -> None:
    """A mistake of the caller leaves no rows without a commit either."""
    segment.append(rows(0, 10), {}, {})
    size = (segment.path / "message.arrows").stat().st_size
    with pytest.raises(TypeError):
        segment.append(rows(10, 10), {"next": object()}, {})
    assert (segment.path / "message.arrows").stat().st_size == size
    assert segment.broken


def test_a_segment_that_cannot_be_begun_is_no_segment(root: Path) -> None:
    """Its directory appears under its name only with its header on disk."""
    with files_of_at_most(10), pytest.raises(NotRecordingError):
        Segment.create(root, HEADER)
    assert not (root / "wal" / "usdt-1-n-3").exists()
    Segment.create(root, HEADER).close()
    Segment.create(root, HEADER).close()  # as after a failure between the two
    assert Journal(root / "wal" / "usdt-1-n-3").header == HEADER


def test_a_full_disk_is_named(segment: Segment) -> None:
    """Full disk and quota say what to do; anything else says what the system said."""
    assert "free some space" in str(not_recording(OSError(errno.ENOSPC, "No space left on device")))
    assert "free some space" in str(not_recording(OSError(errno.EDQUOT, "Quota exceeded")))
    assert "Input/output error" in str(not_recording(OSError(errno.EIO, "Input/output error")))
    assert segment.size > 0


def test_single_columns_can_be_read(segment: Segment, rows) -> None:
    """Reading times alone leaves the rest compressed."""
    segment.append(rows(5, 3), {}, {})
    (batch,) = read_stream((segment.path / "message.arrows").read_bytes(), ["seq"])
    assert batch.schema.names == ["seq"]
    assert batch.column(0).to_pylist() == [5, 6, 7]


def test_what_is_no_stream_is_an_error_of_the_archive() -> None:
    """A damaged file is one line, not a traceback from Arrow."""
    with pytest.raises(ArchiveError, match="damaged"):
        list(read_stream(b"\xff" * 64))


@pytest.mark.parametrize("count", [1, 7, 4095, 20_001])
def test_sums_are_those_of_the_files(segment: Segment, rows: Callable[..., dict[str, pa.RecordBatch]], count: int) -> None:
    """A commit's sum of each stream is that of the file, whatever was joined or handed to the kernel as it was."""
    for nth in range(3):
        tables = {**rows(nth * count, count), "version": Version.build(Identity("n", 1, "usdt"), odd_widths(count))}
        tables["message"] = tables["message"].slice(count // 3)
        segment.append(tables, {}, {})
        assert segment.last is not None
        for table, length in segment.last.lengths.items():
            data = (segment.path / f"{table}.arrows").read_bytes()
            assert (len(data), length % WORD) == (length, 0)
            assert segment.last.sums[table] == sum(np.frombuffer(data, "<u8").tolist()) % 2**64
    assert stored(segment, "version")["user_agent"].to_pylist() == odd_widths(count)["user_agent"] * 3


def odd_widths(count: int) -> dict[str, Any]:
    """Columns of every width, with and without nulls, whose buffers end anywhere."""
    number = list(range(count))
    return {
        "ts": number,
        "seq": number,
        "peer": number,
        "inbound": [n % 3 == 0 for n in number],
        "protocol": number,
        "services": number,
        "time": number,
        "receiver_ip": [bytes(16) if n % 5 else None for n in number],
        "user_agent": ["x" * (n % 11) if n % 7 else None for n in number],
    }
