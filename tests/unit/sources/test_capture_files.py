"""Capture files: indexed by pieces, read."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from peerwatch.sources import capture_files
from peerwatch.sources.capture_files import CaptureFile, read_payloads
from peerwatch.sources.capture_merge import Merge
from peerwatch.wire.capture_format import Ahead
from peerwatch.wire.raw import PAD


def record(time: int, payload: bytes = b"") -> bytes:
    return struct.pack("<Q12sI", time, b"ping", len(payload)) + payload


def file_of(directory: Path, folder: str, content: bytes, *, sent: bool = False, number: int = 0) -> CaptureFile:
    path = directory / f"{folder}-{sent}"
    path.write_bytes(content)
    file = CaptureFile(path, folder, sent, number)
    file.grown(len(content), 1)
    return file


def test_payloads(tmp_path: Path) -> None:
    """Payloads lie in the buffer where it is said, interleaved files too, with padding at its end."""
    merge, files = Merge(), []
    for number, folder in enumerate("ab"):
        content = b"".join(record(2 * i + number, f"{folder}{i}".encode() * i) for i in range(6))
        files.append(file_of(tmp_path, folder, content, number=number))
        merge.offer(files[-1])
    merge.take(3, 100)
    records = merge.take(7, 1000)
    buf, start, readable = read_payloads(files, records["file"], records)
    made = [buf[s : s + n].tobytes() for s, n in zip(start, records["size"], strict=True)]
    assert made == [f"{'ab'[k % 2]}{k // 2}".encode() * (k // 2) for k in range(3, 10)]
    assert readable.all()
    assert not buf[-PAD:].any()


def test_a_file_that_vanished_or_shrank_reads_as_unreadable(tmp_path: Path) -> None:
    """Records of a file that is gone when they are delivered are marked, and others are not harmed."""
    merge = Merge()
    files = [file_of(tmp_path, f, record(1, b"xx") + record(2, b"yy"), number=n) for n, f in enumerate("abc")]
    for file in files:
        merge.offer(file)
    records = merge.take(9, 100)
    files[0].path.unlink()
    files[1].path.write_bytes(b"short")
    buf, start, readable = read_payloads(files, records["file"], records)
    assert readable.tolist() == [False, False, True, False, False, True]
    assert [buf[s : s + 2].tobytes() for s in start] == [b"\0\0", b"\0\0", b"xx", b"\0\0", b"\0\0", b"yy"]


@pytest.mark.parametrize(("tail", "left"), [(b"x", 1), (record(9, b"abc")[:-1], 26), (record(9)[:23], 23)])
def test_a_record_that_is_not_whole(tmp_path: Path, tail: bytes, left: int) -> None:
    """What is whole is found, the rest is known, and is found when the file has grown."""
    file = file_of(tmp_path, "a", record(1) + tail)
    file.find()
    assert (len(file.pending), file.left, file.ahead, file.broken) == (1, left, Ahead.END, None)
    file.path.write_bytes(record(1) + record(9, b"abc"))
    file.grown(24 + 27, 2)
    file.find()
    assert file.pending["ts"].tolist() == [1000, 9000]
    assert file.left == 0


def test_exhaustion_is_known_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the last record of a piece is the last of the file, that is known without looking at the next piece."""
    monkeypatch.setattr(capture_files, "FIRST_PIECE_BYTES", 48)
    for tail, broken in ((b"", False), (record(9, b"abc")[:-1], False), (b"\xff" * 30, True)):
        file = file_of(tmp_path, "a", record(1) + record(2) + tail)
        file.find()
        assert file.exhausted
        assert (file.broken is not None) is broken


def test_garbage_and_a_shrunken_file_are_given_up(tmp_path: Path) -> None:
    """What is no record, a file that lost its end and one that is gone end the search with a reason."""
    garbage = file_of(tmp_path, "a", record(1) + b"\xff" * 64)
    garbage.find()
    assert garbage.broken == "has no message record at byte 24"
    assert (len(garbage.pending), garbage.left) == (1, 64)
    shrunk = file_of(tmp_path, "b", record(1) * 3)
    shrunk.path.write_bytes(b"")
    shrunk.find()
    assert shrunk.broken == "is shorter than it was"
    gone = file_of(tmp_path, "c", record(1))
    gone.path.unlink()
    gone.find()
    assert gone.broken == "No such file or directory"
    assert gone.done


def test_memory_does_not_follow_the_file(tmp_path: Path) -> None:
    """Indexing 32 MB of payload holds headers of a few pieces only."""
    merge = Merge()
    merge.offer(file_of(tmp_path, "a", b"".join(record(i, bytes(1000)) for i in range(32_000))))
    tracemalloc.start()
    while len(merge.take(500, 10**9)):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize("piece", [24, 30, 4096])
def test_records_delivered_by_an_earlier_run_are_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    """`skip_until` passes over the records at the start of a file, across pieces, and nothing behind them."""
    monkeypatch.setattr(capture_files, "FIRST_PIECE_BYTES", piece)
    monkeypatch.setattr(capture_files, "PIECE_BYTES", 2 * piece)
    file = file_of(tmp_path, "a", b"".join(record(i) for i in (1, 2, 3, 9, 3)))
    file.skip_until = 3000
    merge = Merge()
    merge.offer(file)
    assert file.delivered == 72
    assert merge.take(9, 100)["ts"].tolist() == [9000, 3000]
    assert file.first is None
    everything = file_of(tmp_path, "b", record(1))
    everything.skip_until = 3000
    everything.find()
    assert everything.done
    assert everything.delivered == 24
    assert np.array_equal(everything.pending, everything.pending[:0])
