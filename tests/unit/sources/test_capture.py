"""The capture source: replay, following, restart, damage."""

from __future__ import annotations

import json
import os
import shutil
import struct
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peerwatch.sources import capture_files, capture_merge
from peerwatch.sources._api import Chunk
from peerwatch.sources.capture import LAG_NS, QUIET_NS, CaptureError, CaptureSource, event_numbers
from peerwatch.wire.dissect import dissect

CAPTURES = sorted(p.parent for p in (Path(__file__).parents[2] / "data/captures").glob("*/expected.json"))
CAPTURE = next(c for c in CAPTURES if c.name == "addr_relay-node0")
"""Many peers, and a clock that stands still and steps back."""
SMALL = next(c for c in CAPTURES if c.name == "handshake-node0")

Events = list[tuple[int, str, dict[str, Any]]]


def chunks_of(source: CaptureSource) -> Iterator[Chunk]:
    while (chunks := source.read()) is not None:
        yield from chunks


def events_of(chunk: Chunk) -> Events:
    """Everything in a chunk by event: sequence number, table, row. Checks what holds of every chunk."""
    found: Events = []
    numbers: list[np.ndarray] = []
    tables = dict(chunk.rows)
    of = dict(chunk.row_events)
    m = chunk.messages
    if len(m):
        tables["message"] = dissect(chunk.identity, m, bytes(40)).tables["message"]
        of["message"] = chunk.message_events
    for name, batch in tables.items():
        numbers.append(of[name])
        assert (np.diff(of[name]) > 0).all()
        for event, row in zip(of[name].tolist(), batch.to_pylist(), strict=True):
            assert row["ts"] == chunk.events[event]
            found.append((row["seq"], name, row))
    assert sorted(np.concatenate(numbers).tolist() if numbers else []) == list(range(len(chunk.events)))
    found.sort(key=lambda e: e[0])
    for i in range(len(m)):
        payload = m.buf[m.start[i] : m.start[i] + m.kept[i]]
        found[int(chunk.message_events[i])][2]["payload"] = payload.tobytes()
    json.dumps(chunk.position)
    return found


def everything(source: CaptureSource) -> Events:
    events: Events = []
    watermark = 0
    for chunk in chunks_of(source):
        events += events_of(chunk)
        assert chunk.watermark >= watermark
        watermark = chunk.watermark
    return events


def record(time: int, kind: str = "ping", payload: bytes = bytes(8)) -> bytes:
    return struct.pack("<Q12sI", time, kind.encode(), len(payload)) + payload


def write(root: Path, folder: str, content: bytes, *, sent: bool = False) -> Path:
    path = root / "message_capture" / folder / ("msgs_sent.dat" if sent else "msgs_recv.dat")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(content)
    return path


class Clock:
    """A clock that goes on by a second each time it is read, and by what the test adds."""

    now = 10**12

    def __call__(self) -> int:  # noqa: D102 - said above
        self.now += 10**9
        return self.now


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda p: p.name)
def test_counts_and_bytes(capture: Path) -> None:
    """Messages and bytes by direction and type are exactly those that the node logged."""
    expected = json.loads((capture / "expected.json").read_text())
    messages, size = Counter(), Counter()
    for _, table, row in everything(CaptureSource(capture, "alice")):
        if table == "message":
            key = f"{'in' if row['inbound'] else 'out'} {row['type']}"
            messages[key] += 1
            size[key] += row["size"]
            assert row["kept"] == row["size"] == len(row["payload"])
    assert {key: [n, size[key]] for key, n in messages.items()} == expected["counts"]
    assert (messages.total(), size.total()) == (expected["messages"], expected["bytes"])


def test_sequence_and_connections() -> None:
    """Sequence numbers have no gap over messages and connections; each peer opens before its first message and closes behind its
    last, with its address; peers are numbered as they appear, and one address has five connections.
    """
    events = everything(CaptureSource(CAPTURE, "alice"))
    assert [seq for seq, _, _ in events] == list(range(len(events)))
    assert {(r["node"], r["session"], r["source"]) for _, _, r in events} == {("alice", events[0][2]["ts"], "capture")}
    seen: dict[int, list[str]] = {}
    for _, table, row in events:
        seen.setdefault(row["peer"], []).append(row["event"] if table == "connection" else "message")
    assert list(seen) == list(range(67))
    for what in seen.values():
        assert (what[0], what[-1], set(what[1:-1])) == ("opened", "closed", {"message"})
    addresses = Counter(r["address"] for _, t, r in events if t == "connection" and r["event"] == "opened")
    assert addresses.most_common(2) == [("127.0.0.1:12223", 5), ("127.0.0.1:12222", 2)]
    assert addresses.keys() == {p.name.replace("_", ":") for p in (CAPTURE / "message_capture").iterdir()}


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_chunks_do_not_matter(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rows with the same sequence numbers, however many messages a chunk has and however files are looked through."""
    whole = everything(CaptureSource(CAPTURE, "alice"))
    monkeypatch.setattr(capture_files, "PIECE_BYTES", 3000)
    monkeypatch.setattr(capture_merge, "FEW", 3)
    source = CaptureSource(CAPTURE, "alice", limits=(size, 10**9))
    assert everything(source) == whole


def test_bytes_bound_a_chunk() -> None:
    """A chunk holds at most so many payload bytes, or one message."""
    source = CaptureSource(CAPTURE, "alice", limits=(10**6, 5000))
    chunks = list(chunks_of(source))
    assert all(c.messages.size.sum() <= 5000 or len(c.messages) == 1 for c in chunks)
    assert len(chunks) > 40


@pytest.mark.parametrize("after", [1, 2, 10, 100, 400])
def test_going_on_after_a_crash(after: int) -> None:
    """Opened with the position of any chunk, a replay goes on with the next event, and both runs together equal one."""
    whole = everything(CaptureSource(CAPTURE, "alice"))
    first = CaptureSource(CAPTURE, "alice", limits=(7, 10**9))
    chunks = [chunk for _, chunk in zip(range(after), chunks_of(first), strict=False)]
    position = json.loads(json.dumps(chunks[-1].position))
    second = CaptureSource(CAPTURE, "alice", position=position)
    assert [e for c in chunks for e in events_of(c)] + everything(second) == whole


def test_the_end_is_recorded() -> None:
    """The last chunk says that it is; opened with its position, there is nothing more."""
    chunks = list(chunks_of(CaptureSource(SMALL, "alice")))
    assert [c.ended for c in chunks] == [False] * (len(chunks) - 1) + [True]
    assert CaptureSource(SMALL, "alice", position=chunks[-1].position).read() is None


@pytest.mark.parametrize("directory", [SMALL, SMALL / "message_capture"])
def test_either_folder_will_do(directory: Path) -> None:
    """The capture folder itself, or one that holds it."""
    source = CaptureSource(directory, "alice")
    assert (source.name, source.live) == ("capture", False)
    assert source.session == everything(source)[0][2]["ts"]


def test_an_address_that_connects_again(tmp_path: Path) -> None:
    """Its old connection closes with its last message, directly before the new one opens, also long after and followed live."""
    write(tmp_path, "a_1", record(10, "version") + record(30) + record(90, "version"))
    write(tmp_path, "a_1", record(11, "version") + record(20), sent=True)
    write(tmp_path, "b_1", record(40) + record(95))
    expected = [
        ("opened", 0, 10), ("version", 0, 10), ("version", 0, 11), ("ping", 0, 20), ("ping", 0, 30), ("opened", 1, 40),
        ("ping", 1, 40), ("closed", 0, 30), ("opened", 2, 90), ("version", 2, 90),
    ]  # fmt: skip

    def rows(events: Events) -> list[tuple[str, int, int]]:
        return [(r["event"] if t == "connection" else r["type"], r["peer"], r["ts"] // 1000) for _, t, r in events]

    assert rows(everything(CaptureSource(tmp_path, "alice"))) == [
        *expected,
        ("closed", 2, 90),
        ("ping", 1, 95),
        ("closed", 1, 95),
    ]
    followed = CaptureSource(tmp_path, "alice", follow=True, limits=(2, 10**9), clock=Clock())
    assert rows([e for _ in range(6) for c in followed.read() or () for e in events_of(c)]) == [*expected, ("ping", 1, 95)]


def test_a_connection_begins_again_after_a_crash(tmp_path: Path) -> None:
    """What was said before the crash is remembered; of a position of an older version nothing is known of that, but all else."""
    write(tmp_path, "a_1", record(10, "version") + record(30))
    first = CaptureSource(tmp_path, "alice")
    position = json.loads(json.dumps((first.read() or [])[-1].position))
    write(tmp_path, "a_1", record(90, "version"))
    again = everything(CaptureSource(tmp_path, "alice", position=position))
    assert [(r["peer"], r["ts"]) for _, _, r in again] == [(0, 30_000), (1, 90_000), (1, 90_000), (1, 90_000)]
    assert [seq for seq, _, _ in again] == [4, 5, 6, 7]
    old = position | {"peers": {"a_1": [0, True, 64, 30_000, 0, 0]}}
    older = everything(CaptureSource(tmp_path, "alice", position=old))
    assert [(r["type"] if t == "message" else r["event"], r["peer"]) for _, t, r in older] == [("version", 0), ("closed", 0)]


def test_who_opened_the_connection(tmp_path: Path) -> None:
    """Who sends the first `version` opened it; unknown when neither did, or both at the same moment."""
    versions = {"in": (5, 6), "out": (6, 5), "same": (5, 5), "only_in": (5, None), "only_out": (None, 5)}
    for folder, times in versions.items():
        for sent, time in zip((False, True), times, strict=True):
            if time is not None:
                write(tmp_path, folder, record(time, "version") + record(9), sent=sent)
    write(tmp_path, "neither", record(5) + record(6, "version"))
    rows = [r for _, t, r in everything(CaptureSource(tmp_path, "alice")) if t == "connection"]
    expected = {"in": True, "out": False, "same": None, "only:in": True, "only:out": False, "neither": None}
    assert {r["address"]: r["inbound"] for r in rows if r["event"] == "opened"} == expected
    assert {r["address"]: r["inbound"] for r in rows if r["event"] == "closed"} == expected


@pytest.mark.parametrize("cut", [1, 8, 23, 24, 30])
def test_a_file_that_ends_inside_a_record(tmp_path: Path, cut: int) -> None:
    """What is whole is delivered, and one loss row says what is not."""
    write(tmp_path, "a_1", record(5) + record(7, payload=bytes(20))[:cut])
    write(tmp_path, "b_1", record(9))
    events = everything(CaptureSource(tmp_path, "alice"))
    assert [t for _, t, _ in events] == ["connection", "message", "connection", "connection", "message", "connection", "loss"]
    loss = events[-1][2]
    assert (loss["kind"], loss["probe"], loss["count"], loss["bytes"]) == ("truncated", "received", 1, cut)
    assert (loss["first_ts"], loss["last_ts"]) == (5000, 9000)
    assert loss["reason"] == "the file of what was received from a:1 ends inside a record."


def test_a_file_with_garbage_in_it(tmp_path: Path) -> None:
    """What comes before is delivered, the rest is given up with a loss row, and other files are not concerned."""
    write(tmp_path, "a_1", record(5) + b"\xff" * 50 + record(6), sent=True)
    write(tmp_path, "a_1", record(5) + record(7))
    events = everything(CaptureSource(tmp_path, "alice"))
    assert Counter(t for _, t, _ in events) == {"connection": 2, "message": 3, "loss": 1}
    loss = events[-1][2]
    assert (loss["kind"], loss["probe"], loss["count"], loss["bytes"]) == ("unreadable", "sent", 0, 82)
    assert loss["reason"] == "the file of what was sent to a:1 has no message record at byte 32; the rest was given up."


def test_a_capture_without_one_whole_record(tmp_path: Path) -> None:
    """There is a loss row and no message."""
    write(tmp_path, "a_1", record(5)[:-1])
    events = everything(CaptureSource(tmp_path, "alice"))
    assert [(t, r["session"]) for _, t, r in events] == [("loss", 0)]


def test_what_cannot_be_replayed(tmp_path: Path) -> None:
    """A missing folder, a file, an empty folder, and one without a capture are each named in one sentence."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "other/message_capture/x").mkdir(parents=True)
    for name, text in (
        ("missing", "there is no folder"),
        ("file", "is no folder"),
        ("empty", "no capture"),
        ("other", "no capture"),
    ):
        with pytest.raises(CaptureError, match=text) as caught:
            CaptureSource(tmp_path / name, "alice")
        assert "\n" not in str(caught.value)


@contextmanager
def unprivileged() -> Iterator[None]:
    """As a user that may not read everything."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.mark.parametrize("what", ["message_capture", "message_capture/a_1", "message_capture/a_1/msgs_recv.dat"])
def test_what_may_not_be_read(what: str) -> None:
    """A folder or file without permission is named, in one sentence."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        write(root, "a_1", record(5))
        (root / what).chmod(0)
        with unprivileged(), pytest.raises(CaptureError, match=r"cannot be read: permission denied") as caught:
            CaptureSource(root, "alice")
        assert what in str(caught.value)
        (root / what).chmod(0o755)


def test_following(tmp_path: Path) -> None:
    """Records are taken once, when they are whole, from files and peers that appear, and connections do not close."""
    (tmp_path / "message_capture").mkdir()
    source = CaptureSource(tmp_path, "alice", follow=True, clock=Clock())
    assert source.live
    assert source.read() == []
    events: Events = []

    def step() -> list[str]:
        found = [e for chunk in source.read() or () for e in events_of(chunk)]
        events.extend(found)
        return [row["event"] if table == "connection" else row["type"] for _, table, row in found]

    write(tmp_path, "a_1", record(5, "version") + record(6, "addr")[:20])
    assert step() == ["opened", "version"]
    assert step() == []
    write(tmp_path, "a_1", record(6, "addr")[20:])
    assert step() == ["addr"]
    write(tmp_path, "a_1", record(7, "verack"), sent=True)
    write(tmp_path, "b_1", record(6, "version"))
    assert step() == ["opened", "version", "verack"]
    assert [seq for seq, _, _ in events] == list(range(6))
    assert {r["session"] for _, _, r in events} == {5000}


def test_a_followed_capture_goes_on_after_a_crash(tmp_path: Path) -> None:
    """With the position of the last recorded chunk, every record is delivered exactly once, whenever it was written."""
    source = SMALL / "message_capture"
    files = sorted(p.relative_to(source) for p in source.rglob("*.dat"))
    target = tmp_path / "message_capture"
    position: dict[str, Any] = {}
    events: Events = []
    rng = np.random.default_rng(3)
    for step in range(12):
        for file in files:
            content = (source / file).read_bytes()
            stop = len(content) * (step + 1) // 12 - (0 if step == 11 else int(rng.integers(0, 20)))
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            done = (target / file).stat().st_size if (target / file).exists() else 0
            with (target / file).open("ab") as out:
                out.write(content[done:stop])
        following = CaptureSource(target, "alice", follow=True, position=position, limits=(9, 10**9), clock=Clock())
        for _ in range(40):
            for chunk in following.read() or ():
                if rng.random() < 0.8:
                    events += events_of(chunk)
                    position = json.loads(json.dumps(chunk.position))
                else:
                    following = CaptureSource(target, "alice", follow=True, position=position, limits=(9, 10**9), clock=Clock())
    assert [seq for seq, _, _ in events] == list(range(len(events)))

    def contents(found: Events) -> Counter[tuple[Any, ...]]:
        return Counter((r["type"], r["inbound"], r["ts"], r["payload"]) for _, t, r in found if t == "message")

    assert contents(events) == contents(everything(CaptureSource(SMALL, "alice")))


def test_a_quiet_followed_capture_keeps_saying_so(tmp_path: Path) -> None:
    """Without new records there is an empty chunk at least once a second, whose watermark runs on with real time."""
    write(tmp_path, "a_1", record(5))
    clock = Clock()
    source = CaptureSource(tmp_path, "alice", follow=True, clock=clock)
    assert len((source.read() or [])[0].messages) == 1
    first = source.read() or []
    began = clock.now
    clock.now += 100 * 10**9
    later = source.read() or []
    assert [(len(c.messages), len(c.events)) for c in (*first, *later)] == [(0, 0), (0, 0)]
    assert later[0].watermark - first[0].watermark >= clock.now - began - LAG_NS - QUIET_NS
    assert later[0].watermark < 5000 + clock.now


def test_a_record_from_the_far_future_does_not_say_what_time_it_is(tmp_path: Path) -> None:
    """It is delivered with its own time, and the watermark of a followed capture stays; a finished one has no now."""
    future = 9_000_000_000_000_000
    write(tmp_path, "a_1", record(5) + record(future) + record(6))
    followed = CaptureSource(tmp_path, "alice", follow=True, clock=Clock())
    chunks = [c for _ in range(5) for c in followed.read() or ()]
    assert future * 1000 in [t for c in chunks for t in c.messages.ts.tolist()]
    assert max(c.watermark for c in chunks) < future
    finished = CaptureSource(tmp_path, "alice")
    assert max(c.watermark for c in iter(lambda: (finished.read() or [None])[0], None)) >= future * 1000


def test_no_chunk_when_asked_too_often(tmp_path: Path) -> None:
    """A loop that reads all the time gets an empty chunk now and then, not each time."""
    write(tmp_path, "a_1", record(5))
    now = 10**12
    source = CaptureSource(tmp_path, "alice", follow=True, clock=lambda: now)
    assert len(source.read() or []) == 1
    assert source.read() == []
    now += QUIET_NS
    assert len(source.read() or []) == 1
    assert source.read() == []


def test_loss_while_following(tmp_path: Path) -> None:
    """Garbage in a followed file is said once, and after a restart not again."""
    write(tmp_path, "a_1", record(5) + b"\xff" * 50)
    source = CaptureSource(tmp_path, "alice", follow=True, clock=Clock())
    chunks = [c for _ in range(5) for c in source.read() or ()]
    assert [t for c in chunks for _, t, _ in events_of(c)] == ["connection", "message", "loss"]
    again = CaptureSource(tmp_path, "alice", follow=True, position=chunks[-1].position, clock=Clock())
    assert [e for _ in range(5) for c in again.read() or () for e in events_of(c)] == []


def test_a_capture_that_is_removed_while_it_is_followed(tmp_path: Path) -> None:
    """A peer's folder may go; the capture folder itself may not, and that is one sentence."""
    write(tmp_path, "a_1", record(5))
    write(tmp_path, "b_1", record(6))
    source = CaptureSource(tmp_path, "alice", follow=True, clock=Clock())
    assert len(source.read() or []) == 1
    shutil.rmtree(tmp_path / "message_capture/a_1")
    assert [len(c.messages) for c in source.read() or ()] == [0]
    shutil.rmtree(tmp_path / "message_capture")
    with pytest.raises(CaptureError, match="cannot be read"):
        source.read()


def test_stopping() -> None:
    """Nothing is held back or open, and closing twice is allowed."""
    source = CaptureSource(SMALL, "alice")
    source.commit()
    assert source.finish() == []
    source.close()
    source.close()


def test_numbering() -> None:
    """Messages and marks before and after them are numbered in one order."""
    messages, marks = event_numbers(3, [0, 2, 2, 2, 3])
    assert messages.tolist() == [1, 2, 6]
    assert marks.tolist() == [0, 3, 4, 5, 7]
    assert [a.tolist() for a in event_numbers(0, [])] == [[], []]
