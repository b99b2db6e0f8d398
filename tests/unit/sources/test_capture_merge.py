"""Capture files merged: by time, and where times say nothing by connections."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerwatch.sources import capture_files, capture_merge
from peerwatch.sources.capture_files import CaptureFile, Progress
from peerwatch.sources.capture_merge import Merge

Said = Sequence[tuple[int, str]]
"""What a file holds: times (s) and types."""
Conversation = tuple[Said, Said]
"""What was received, and what was sent."""


def record(time: int, payload: bytes = b"", kind: str = "ping") -> bytes:
    return struct.pack("<Q12sI", time, kind.encode(), len(payload)) + payload


def file_of(directory: Path, folder: str, content: bytes, *, sent: bool = False, number: int = 0) -> CaptureFile:
    path = directory / f"{folder}-{sent}"
    path.write_bytes(content)
    file = CaptureFile(path, folder, sent, number)
    file.grown(len(content), 1)
    return file


def pair(
    directory: Path, folder: str, said: Conversation, number: int, progress: Sequence[Progress] | None = None
) -> list[CaptureFile]:
    """Both files of a folder, perhaps as they are resumed."""
    files = [
        file_of(directory, folder, b"".join(record(ts * 10**6, b"", kind) for ts, kind in what), sent=sent, number=number + sent)
        for sent, what in enumerate(said)
    ]
    files[0].other, files[1].other = files[1], files[0]
    for file, done in zip(files, progress or (), strict=False):
        file.resume(done)
    return files


def merged(files: Sequence[CaptureFile], most: int, limit: int = 10**6) -> list[tuple[str, bool, int]]:
    """Folder, direction and place of the first `limit` records, in merged order."""
    merge, of = Merge(), {file.number: file for file in files}
    for file in files:
        merge.offer(file)
    got: list[tuple[str, bool, int]] = []
    while len(got) < limit and len(records := merge.take(min(most, limit - len(got)), 10**6)):
        got += [(of[r["file"]].folder, of[r["file"]].sent, int(r["at"]) // 24) for r in records]
    return got


def expected_order(times: dict[tuple[str, bool], list[int]]) -> list[tuple[int, str, bool, int]]:
    """The order, plainly: latest time of the file so far, folder, received before sent, position."""
    return sorted((max(series[: i + 1]), folder, sent, i) for (folder, sent), series in times.items() for i in range(len(series)))


FILES = st.dictionaries(st.tuples(st.sampled_from("abc"), st.booleans()), st.lists(st.integers(0, 12), max_size=30), max_size=6)


@settings(max_examples=60, deadline=None)
@given(times=FILES, most=st.sampled_from([1, 3, 1000]), few=st.sampled_from([1, 4]))
def test_merged_order(times: dict[tuple[str, bool], list[int]], most: int, few: int) -> None:
    """Whatever is taken at once and found at once, records come in the documented order, with clocks that stand and step back."""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(capture_files, "PIECE_BYTES", 70)
        patch.setattr(capture_files, "FIRST_PIECE_BYTES", 30)
        patch.setattr(capture_merge, "FEW", few)
        merge, names = Merge(), {}
        for number, ((folder, sent), series) in enumerate(times.items()):
            file = file_of(Path(name), folder, b"".join(map(record, series)), sent=sent, number=number)
            names[number] = (folder, sent)
            merge.offer(file)
        got = []
        while len(records := merge.take(most, 10**6)):
            assert len(records) <= most
            got += [(int(r["key"]) // 1000, *names[int(r["file"])], int(r["at"]) // 24) for r in records]
    assert got == expected_order(times)


def test_bytes_bound_what_is_taken(tmp_path: Path) -> None:
    """At most so many payload bytes are taken at once, but always one record."""
    merge = Merge()
    merge.offer(file_of(tmp_path, "a", b"".join(record(i, bytes(10)) for i in range(5))))
    assert [len(merge.take(100, limit)) for limit in (25, 5, 1000, 1000)] == [2, 1, 2, 0]


def test_growth_while_there_is_more_to_deliver(tmp_path: Path) -> None:
    """A file that grows before all of it was taken is merged on without anything lost or twice."""
    merge = Merge()
    file = file_of(tmp_path, "a", record(1) + record(2))
    merge.offer(file)
    assert merge.take(1, 100)["ts"].tolist() == [1000]
    file.path.write_bytes(b"".join(map(record, (1, 2, 3, 4))))
    file.grown(96, 2)
    merge.offer(file)
    assert merge.take(9, 100)["ts"].tolist() == [2000, 3000, 4000]
    assert len(merge.take(9, 100)) == 0


KINDS = st.sampled_from(["version", "ping"])
SAID = st.lists(st.tuples(st.integers(0, 12), KINDS), max_size=14)
TALKS = st.dictionaries(st.sampled_from("ab"), st.tuples(SAID, SAID), min_size=1)


@settings(max_examples=150, deadline=None)
@given(talks=TALKS, most=st.sampled_from([1, 3, 1000]), few=st.sampled_from([1, 4]), stop=st.integers(0, 30))
def test_order_with_many_connections(talks: dict[str, Conversation], most: int, few: int, stop: int) -> None:
    """Nothing is lost, files keep their order, and the whole order is the same whatever is found and taken at once, and when
    going on after any number of records.
    """
    with tempfile.TemporaryDirectory() as name:

        def files(progress: Sequence[Progress] = ()) -> list[CaptureFile]:
            return [
                file
                for nth, (folder, said) in enumerate(talks.items())
                for file in pair(Path(name), folder, said, 2 * nth, progress[2 * nth : 2 * nth + 2])
            ]

        whole = merged(files(), 10**6)
        for folder, said in talks.items():
            for sent, what in enumerate(said):
                assert [at for f, s, at in whole if (f, s) == (folder, sent)] == list(range(len(what)))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(capture_files, "PIECE_BYTES", 70)
            patch.setattr(capture_files, "FIRST_PIECE_BYTES", 30)
            patch.setattr(capture_merge, "FEW", few)
            assert merged(files(), most) == whole
            first = files()
            began = merged(first, most, stop)
            assert began + merged(files([file.progress for file in first]), most) == whole


@pytest.mark.parametrize(
    ("received", "sent", "order"),
    [
        # The clock stands still over two connections.
        ([(5, "version"), (5, "ping"), (5, "version")], [(5, "version"), (5, "version"), (5, "ping")], "rrsrss"),
        # It is set back between them; our last ping is later than all that came from the peer.
        (
            [(50, "version"), (51, "ping"), (10, "version"), (12, "ping")],
            [(50, "version"), (90, "ping"), (9, "version"), (11, "ping")],
            "rsrssrsr",
        ),
        # It is set back, and the peer says nothing on the second connection.
        ([(50, "version")], [(50, "version"), (10, "version"), (11, "version")], "rsss"),
        # It is set back, but not behind what came from the peer before.
        ([(40, "version"), (50, "version")], [(40, "version"), (100, "ping"), (50, "version")], "rsrss"),
        # A peer that never answers: times alone tell when it was.
        ([(70, "version")], [(10, "version"), (20, "version"), (69, "version"), (71, "ping")], "sssrs"),
    ],
)
def test_order_of_connections(tmp_path: Path, received: Said, sent: Said, order: str) -> None:
    """What was said on one connection comes before what was said on the next, as far as it can be told."""
    got = merged(pair(tmp_path, "a", (received, sent), 0), 1000)
    assert "".join("s" if s else "r" for _, s, _ in got) == order


def test_others_are_not_held_up(tmp_path: Path) -> None:
    """What waits is delivered with the latest time of its own folder, between the records of others."""
    said = ([(50, "version"), (10, "version")], [(50, "version"), (60, "ping"), (9, "version")])
    other = ([(nth, "ping") for nth in range(40, 80, 3)], [])
    got = merged([*pair(tmp_path, "a", said, 0), *pair(tmp_path, "b", other, 2)], 1000)
    places = [at for at, (folder, _, _) in enumerate(got) if folder == "a"]
    assert [got[at][1:] for at in places] == [(False, 0), (True, 0), (True, 1), (True, 2), (False, 1)]
    assert [got[at - 1][2] for at in places if got[at - 1][0] == "b"] == [3, 6]
    assert got[-1] == ("b", False, 13)


def test_what_waits_goes_on_when_the_other_side_ends(tmp_path: Path) -> None:
    """While files grow: a connection that only one side has begun yet is delivered, and the other side's part when it comes."""
    received, sent = pair(tmp_path, "a", ([(50, "version")], [(50, "version"), (10, "version")]), 0)
    merge = Merge()
    merge.offer(sent)
    merge.offer(received)
    assert merge.take(9, 99)["ts"].tolist() == [50 * 10**9, 50 * 10**9, 10 * 10**9]
    more = record(11 * 10**6, b"", "version") + record(12 * 10**6)
    received.path.write_bytes(received.path.read_bytes() + more)
    received.grown(72, 2)
    merge.offer(received)
    assert merge.take(9, 99)["ts"].tolist() == [11 * 10**9, 12 * 10**9]
