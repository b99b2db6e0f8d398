"""Which connection a message of a capture belongs to."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from peerwatch.sources.capture_connections import CaptureConnections, Peer, address, opened_inbound
from peerwatch.sources.capture_files import CaptureFile
from peerwatch.sources.capture_merge import Merge

Said = list[tuple[int, str]]


def files_of(directory: Path, folder: str, received: Said, sent: Said, number: int = 0) -> list[CaptureFile]:
    """Both files of a folder: times (s) and types."""
    files = []
    for direction, what in enumerate((received, sent)):
        path = directory / f"{folder}-{direction}"
        content = b"".join(struct.pack("<Q12sI", ts * 10**6, kind.encode(), 0) for ts, kind in what)
        path.write_bytes(content)
        files.append(CaptureFile(path, folder, bool(direction), number + direction))
        files[-1].grown(len(content), 1)
    files[0].other, files[1].other = files[1], files[0]
    return files


def follow(
    pairs: list[list[CaptureFile]], most: int = 1000
) -> tuple[list[int], list[tuple[int, int, str, int]], CaptureConnections]:
    """Numbers of all messages, marks (message that they come before, time in s, event, peer), and what is left open."""
    merge, connections = Merge(), CaptureConnections()
    of = {file.number: pair for pair in pairs for file in pair}
    for pair in pairs:
        for file in pair:
            merge.offer(file)
    numbers: list[int] = []
    marks: list[tuple[int, int, str, int]] = []
    while len(records := merge.take(most, 10**6)):
        met = sorted(set(records["file"].tolist()))
        which = [met.index(number) for number in records["file"].tolist()]
        number, found = connections.follow(records, [of[n] for n in met], which, live=False)
        marks += [(m.before + len(numbers), m.ts // 10**9, m.event, m.peer.number) for m in found]
        numbers += number.tolist()
    return numbers, marks, connections


VERSION, OTHER = "version", "ping"


@pytest.mark.parametrize("most", [1, 3, 1000])
def test_reconnecting(tmp_path: Path, most: int) -> None:
    """Each `version` of the opener begins a connection, messages of the other side belong to the one open at their time, and
    others are numbered in between.
    """
    out = files_of(tmp_path, "a", [(2, VERSION), (9, VERSION)], [(1, VERSION), (3, OTHER), (8, VERSION), (12, VERSION)])
    into = files_of(tmp_path, "b", [(4, VERSION), (6, OTHER), (7, VERSION)], [(5, VERSION), (10, OTHER)], 2)
    numbers, marks, connections = follow([out, into], most)
    assert numbers == [0, 0, 0, 1, 1, 1, 2, 3, 3, 2, 4]
    assert marks == [
        (0, 1, "opened", 0), (3, 4, "opened", 1), (6, 6, "closed", 1), (6, 7, "opened", 2), (7, 3, "closed", 0),
        (7, 8, "opened", 3), (10, 10, "closed", 2), (10, 9, "closed", 3), (10, 12, "opened", 4), (11, 12, "closed", 4),
    ]  # fmt: skip
    assert connections.next_id == 5
    assert connections.open == {"a": Peer(4, False, 2, 12 * 10**9), "b": Peer(2, True, 1, 10 * 10**9)}


def test_a_version_that_begins_nothing(tmp_path: Path) -> None:
    """That of the side that did not open the connection, however often it comes, and the first after something else."""
    repeated = files_of(tmp_path, "a", [(2, VERSION), (3, VERSION), (4, VERSION)], [(1, VERSION)])
    late = files_of(tmp_path, "b", [(5, OTHER), (6, VERSION)], [(7, VERSION)], 2)
    assert follow([repeated, late])[0] == [0, 0, 0, 0, 1, 1, 1]


def test_who_opened_cannot_be_told(tmp_path: Path) -> None:
    """Then either side's second `version` begins a connection, and the other side's that answers it does not."""
    same = files_of(tmp_path, "a", [(5, VERSION), (5, OTHER), (5, VERSION)], [(5, VERSION), (5, VERSION)])
    numbers, _, connections = follow([same])
    assert numbers == [0, 0, 0, 1, 1]
    assert connections.open["a"].inbound is None
    assert connections.open["a"].said == 3


def test_the_clock_is_set_back_between_connections(tmp_path: Path) -> None:
    """The old connection closes at the time of its last message, which is later than what follows."""
    files = files_of(tmp_path, "a", [(50, VERSION), (10, VERSION)], [(51, VERSION), (90, OTHER), (11, VERSION)])
    numbers, marks, _ = follow([files])
    assert numbers == [0, 0, 0, 1, 1]
    assert marks == [(0, 50, "opened", 0), (3, 90, "closed", 0), (3, 10, "opened", 1), (5, 11, "closed", 1)]


@pytest.mark.parametrize(
    ("received", "sent", "inbound"),
    [
        ([(5, VERSION)], [(6, VERSION)], True),
        ([(6, VERSION)], [(5, VERSION)], False),
        ([(5, VERSION)], [(5, VERSION)], None),
        ([(5, VERSION)], [], True),
        ([], [(5, VERSION)], False),
        ([(5, OTHER), (6, VERSION)], [], None),
    ],
)
def test_who_opened(tmp_path: Path, received: Said, sent: Said, inbound: bool | None) -> None:  # noqa: FBT001 - what it is about
    """Who says the first `version`; unknown when neither does, or both at the same moment."""
    files = files_of(tmp_path, "a", received, sent)
    for file in files:
        file.find()
    assert opened_inbound(files) is inbound


@pytest.mark.parametrize(
    ("folder", "shown"),
    [
        ("203.0.113.7_8333", "203.0.113.7:8333"),
        ("[2001_db8__1]_18333", "[2001:db8::1]:18333"),
        ("xyz.onion_8333", "xyz.onion:8333"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\udcff", r"\xff"),
    ],
)
def test_addresses(folder: str, shown: str) -> None:
    """A folder's name becomes the address as the node writes it, and nothing that a terminal would obey."""
    assert address(folder) == shown
