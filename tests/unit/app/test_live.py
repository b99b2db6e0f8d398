"""Watching from a configuration: what needs no rights. The rest is in tests/kernel."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from peerwatch.app import live
from peerwatch.app.config import Config, NodeConfig, RetentionConfig
from peerwatch.app.live import HEAD_BYTES, LEAST_BYTES, Task, capture_limits, retention, say_at_once, watch, within_reach
from peerwatch.schema.table import Level
from peerwatch.sources.usdt.link import Link, pair
from peerwatch.sources.usdt.privileges import Account
from peerwatch.store.query import Query
from peerwatch.store.retention import Retention
from peerwatch.wire.registry import needs_of_type

CAPTURE = Path(__file__).parents[2] / "data/captures/handshake-node0"
NOBODY = Account("nobody", 65534, 65534, (65534,))

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """The loop sets handlers for good; here they are put back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_limits_follow_from_what_dissectors_need() -> None:
    """Of a type without dissector the head is kept; what is configured counts more than either."""
    plain = capture_limits(Config())
    needs, sent = needs_of_type(), needs_of_type(sent=True)
    assert plain.default == HEAD_BYTES
    assert plain.by_type == {name: max(n, LEAST_BYTES) for name, n in needs.items()}
    assert plain.sent == {name: max(n, LEAST_BYTES) for name, n in sent.items()}
    own = capture_limits(Config(capture_limits={"default": 0, "addr": 1, "block": 9}))
    assert (own.default, own.by_type["addr"], own.by_type["block"]) == (0, 1, 9)
    assert own.by_type["inv"] == plain.by_type["inv"]
    assert "block" not in own.sent


def captured(tmp_path: Path, **more: object) -> Task:
    shutil.copytree(CAPTURE / "message_capture", tmp_path / "message_capture", dirs_exist_ok=True)
    config = Config(node=[NodeConfig("alice", capture=str(tmp_path))])
    return Task(config, tmp_path / "archive", seconds=0.2, **more)  # type: ignore[arg-type]


def counts(archive: Path) -> tuple[int, int]:
    (row,) = Query(archive).table("SELECT count(*) AS n, count(DISTINCT seq) AS d FROM message").to_pylist()
    return row["n"], row["d"]


def test_a_capture_is_followed_without_rights(tmp_path: Path) -> None:
    """It is recorded while it lasts; a second run goes on after the first, with nothing twice, and takes what has come since."""
    task = captured(tmp_path)
    messages = json.loads((CAPTURE / "expected.json").read_text())["messages"]
    for _ in range(2):
        assert watch(task, None) == 0
        assert counts(task.archive) == (messages, messages)
    more = (CAPTURE / "message_capture").rglob("msgs_recv.dat")
    data = next(path.read_bytes() for path in sorted(more) if path.stat().st_size)
    first = data[: 24 + int.from_bytes(data[20:24], "little")]
    late = (3 * 10**15).to_bytes(8, "little") + first[8:]
    (tmp_path / "message_capture/192.0.2.1_8333").mkdir()
    (tmp_path / "message_capture/192.0.2.1_8333/msgs_recv.dat").write_bytes(late)
    assert watch(task, None) == 0
    assert counts(task.archive)[0] == messages + 1


def test_what_cannot_be_used_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No capture, no archive, no tracer: status 1, and why."""
    missing = Task(Config(node=[NodeConfig("a", capture=str(tmp_path / "none"))]), tmp_path / "archive", seconds=0.1)
    assert watch(missing, None) == 1
    assert capsys.readouterr().err == f"Error: there is no folder {tmp_path / 'none'}\n"
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").write_text("x")
    assert watch(Task(Config(), tmp_path / "full", seconds=0.1), None) == 1
    assert "is not an archive and not empty" in capsys.readouterr().err
    ours, theirs = pair()
    monkeypatch.setattr("peerwatch.sources.usdt.source.HELLO_S", 0.01)
    link = Link(theirs)
    assert watch(Task(Config(), tmp_path / "archive", seconds=0.1), link) == 1
    assert capsys.readouterr().err == "Error: the tracer does not answer; is it running?\n"
    ours.close()
    link.close()


def test_a_signal_stops_it(tmp_path: Path) -> None:
    """SIGTERM and SIGINT end the loop in good order."""
    for number in (signal.SIGTERM, signal.SIGINT):
        stopped = live._stopper(None)
        assert not stopped()
        os.kill(os.getpid(), number)
        assert stopped()
    assert live._stopper(0.0)()
    assert tmp_path.exists()


def test_lines_leave_nothing_in_a_buffer(capsys: pytest.CaptureFixture[str]) -> None:
    """What is said before a fork is not said twice."""
    say_at_once("a line")
    assert capsys.readouterr().out == "a line\n"


def test_an_archive_within_reach_stays_as_it_is(tmp_path: Path) -> None:
    """Without another user nothing changes."""
    task = Task(Config(), tmp_path)
    assert within_reach(task, None) is task


@root_only
def test_an_archive_below_a_closed_folder(tmp_path: Path) -> None:
    """The other user reaches it through the working directory; one that it can enter by itself is left alone."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    archive = closed / "archive"
    archive.mkdir()
    os.chown(archive, NOBODY.uid, NOBODY.gid)
    before = Path.cwd()
    try:
        task = within_reach(Task(Config(), archive), NOBODY)
        assert task.archive == Path("/proc/self/cwd")
        assert task.archive.samefile(archive)
    finally:
        os.chdir(before)
    Path("/tmp").stat()  # noqa: S108 - a folder that everybody can enter
    assert live._can_write(NOBODY, Path("/tmp"))  # noqa: S108 - as above
    assert not live._can_write(NOBODY, archive)
    assert not live._can_write(NOBODY, Path("/etc"))


@pytest.mark.parametrize(
    ("level", "tables"), [(Level.LIGHT, set()), (Level.STANDARD, {"message"}), (Level.FULL, {"message", "payload"})]
)
def test_the_configuration_says_how_much_is_recorded(tmp_path: Path, level: Level, tables: set[str]) -> None:
    """Roll-ups always; rows of messages and payloads from their level on."""
    task = captured(tmp_path)
    task = replace(task, config=msgspec.structs.replace(task.config, record=level))
    assert watch(task, None) == 0
    query = Query(task.archive)
    assert {name for name in ("message", "payload") if query.table(f"SELECT 1 FROM {name} LIMIT 1").num_rows} == tables
    messages = json.loads((CAPTURE / "expected.json").read_text())["messages"]
    assert query.table("SELECT sum(messages)::INT n FROM rate WHERE width = 3600").to_pylist() == [{"n": messages}]


def test_how_long_is_kept_follows_from_the_configuration() -> None:
    """Nothing said is for good; sizes are given in GiB."""
    assert retention(Config()) == Retention()
    given = RetentionConfig(days=3, rollup_days=9, gib=0.5)
    assert retention(Config(retention=given)) == Retention(3, 9, 1 << 29)
