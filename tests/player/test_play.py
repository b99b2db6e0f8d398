"""Playing files and pipes: everything in them is fired, once, at its time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peerwatch.sources.simulation.events import Events
from peerwatch.sources.usdt.probes import PLAY_EXIT, PLAY_RESTART, PROBES

Reports = list[dict[str, Any]]
MILLISECOND = 1_000_000
SECOND = 1_000_000_000


def fired(reports: Reports) -> int:
    """Events that all processes of a run fired."""
    return sum(sum(r["fired"].values()) for r in reports)


def counts(events: Events) -> dict[str, int]:
    return {p.full_name: int((events.head["probe"] == i).sum()) for i, p in enumerate(PROBES)}


def wait_for(pid_file: Path) -> int:
    """The process id, once the player is ready for signals."""
    deadline = time.monotonic() + 30
    while not pid_file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return int(pid_file.read_text())


@pytest.mark.parametrize("how", [(threads, through) for threads in (1, 2, 7) for through in ("file", "pipe")])
def test_all_events_are_fired_and_counted(
    play: Callable[..., Reports],
    scenario: Callable[..., Events],
    file_of: Callable[..., bytes],
    tmp_path: Path,
    how: tuple[int, str],
) -> None:
    """The report has the counts per probe, and per direction and type the counts and bytes, of what was in the file."""
    threads, through = how
    events = scenario(5000)
    path = tmp_path / "all.play"
    path.write_bytes(file_of(events, thread=np.arange(5000) % 256))
    with path.open("rb") as file:
        arguments = ["--speed", "max", "--threads", threads, path if through == "file" else "-"]
        [report] = play(*arguments, stdin=file)
    assert report["fired"] == counts(events)
    assert report["ended"] == "done"
    assert report["threads"] == threads
    for number, direction in enumerate(("inbound", "outbound")):
        head = events.head[events.head["probe"] == number]
        types = head["type"].view("S16")
        assert report["messages"][direction] == {
            t.decode(): {"count": int((types == t).sum()), "bytes": int(head["size"][types == t].sum())} for t in np.unique(types)
        }


def test_events_for_probes_that_a_binary_lacks_are_counted_as_absent(
    play: Callable[..., Reports], scenario: Callable[..., Events], file_of: Callable[..., bytes], tmp_path: Path
) -> None:
    """Fired and absent together are what the file has, in every variant."""
    events = scenario(1600)
    path = tmp_path / "all.play"
    path.write_bytes(file_of(events))
    for name, present in (("player-older", 10), ("player-changed", 16), ("player-noprobes", 0)):
        [report] = play("--speed", "max", path, name=name)
        assert {n: report["fired"][n] + report["absent"][n] for n in counts(events)} == counts(events)
        assert sum(n > 0 for n in report["fired"].values()) == present


def test_a_large_record_is_played(
    play: Callable[..., Reports], scenario: Callable[..., Events], file_of: Callable[..., bytes], tmp_path: Path
) -> None:
    """A payload of 32 MiB, the largest that Core serializes, between small ones."""
    events = scenario(33)
    size = 0x02000000
    events.bodies.size[16] = events.head["size"][16] = size
    events.bodies.start[16] = 0
    whole = Events(events.head, type(events.bodies)(np.zeros(size, np.uint8), events.bodies.start, events.bodies.size))
    path = tmp_path / "large.play"
    path.write_bytes(file_of(whole))
    [report] = play("--speed", "max", path)
    assert fired([report]) == 33
    assert report["messages"]["inbound"]["tx"]["bytes"] == size


def test_more_types_than_can_be_told_apart_are_counted_together(
    play: Callable[..., Reports], scenario: Callable[..., Events], file_of: Callable[..., bytes], tmp_path: Path
) -> None:
    """256 types are counted by name, all others as one; no message is lost from the counts."""
    events = scenario(16 * 400)
    events.head["probe"] = 0
    events.head["type"] = [np.void(b"t%d" % (i % 400) + b"\0" * 12) for i in range(len(events))]
    events.head["size"] = events.bodies.size
    path = tmp_path / "types.play"
    path.write_bytes(file_of(events))
    [report] = play("--speed", "max", "--threads", 1, path)
    inbound = report["messages"]["inbound"]
    assert len(inbound) == 257
    assert inbound["*other*"]["count"] == 16 * 144
    assert sum(t["bytes"] for t in inbound.values()) == int(events.bodies.size.sum())


@pytest.mark.parametrize("speed", [1, 4])
def test_events_are_fired_at_their_times(
    play: Callable[..., Reports],
    scenario: Callable[..., Events],
    file_of: Callable[..., bytes],
    tmp_path: Path,
    speed: int,
) -> None:
    """A second of events takes a second, or a quarter at four times the speed; never less."""
    path = tmp_path / "second.play"
    path.write_bytes(file_of(scenario(1001, gap=MILLISECOND)))
    [report] = play("--speed", speed, path)
    assert 1 / speed <= report["elapsed_ns"] / SECOND < 1 / speed + 5


def test_a_pipe_is_played_while_it_grows(
    binaries: Path, scenario: Callable[..., Events], file_of: Callable[..., bytes], tmp_path: Path
) -> None:
    """What has arrived is fired although the writer is not done, also up to the middle of a record."""
    raw = file_of(scenario(1600))
    command = [binaries / "peerwatch-player", "--speed", "max", "--pid-file", tmp_path / "pid", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(raw[: len(raw) // 2])
        process.stdin.flush()
        wait_for(tmp_path / "pid")
        seen = 0
        deadline = time.monotonic() + 30
        while seen < 700 and time.monotonic() < deadline:
            process.send_signal(signal.SIGUSR1)
            report = json.loads(process.stdout.readline())
            assert report["ended"] is None
            seen = fired([report])
        assert 700 <= seen < 900
        process.stdin.write(raw[len(raw) // 2 :])
        process.stdin.close()
        reports = [json.loads(line) for line in process.stdout]
    assert (fired(reports[-1:]), reports[-1]["ended"]) == (1600, "done")


def test_a_loop_goes_on_until_it_is_stopped(
    binaries: Path, scenario: Callable[..., Events], file_of: Callable[..., bytes], tmp_path: Path
) -> None:
    """--loop begins again at the end, and SIGTERM ends it with a report."""
    path = tmp_path / "loop.play"
    path.write_bytes(file_of(scenario(160, gap=MILLISECOND // 10)))
    command = [binaries / "peerwatch-player", "--loop", "--pid-file", tmp_path / "pid", path]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        wait_for(tmp_path / "pid")
        time.sleep(0.5)
        process.terminate()
        output, _ = process.communicate(timeout=30)
    report = json.loads(output)
    assert (process.returncode, report["ended"]) == (0, "stopped")
    assert 320 < fired([report]) <= report["elapsed_ns"] // (MILLISECOND // 10) + 160


def test_an_exit_record_ends_the_process_after_all_before_it(
    play: Callable[..., Reports], scenario: Callable[..., Events], file_of: Callable[..., bytes], tmp_path: Path
) -> None:
    """Events of all threads before it are fired, none after it, and it waits for its time."""
    path = tmp_path / "exit.play"
    first, second = scenario(2000), scenario(100)
    second.head["ts"] += np.uint64(SECOND)
    path.write_bytes(file_of(first, (PLAY_EXIT, SECOND // 2), second, thread=3))
    [report] = play(path)
    assert (fired([report]), report["ended"]) == (2000, "exit")
    assert report["elapsed_ns"] >= SECOND // 2


def follow(pid_file: Path, report_file: Path, timeout: float = 30) -> Reports:
    """All reports of a run that restarts itself, from the first process to the last."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        reports = [json.loads(line) for line in report_file.read_text().splitlines()] if report_file.exists() else []
        ended = [r for r in reports if r["ended"] is not None]
        if ended and ended[-1]["successor"] is None:
            assert int(pid_file.read_text()) == ended[-1]["pid"]
            return ended
        time.sleep(0.02)
    raise TimeoutError(report_file.read_text())


@pytest.mark.parametrize("through", ["file", "pipe"])
def test_a_restart_record_goes_on_in_another_process(
    binaries: Path, scenario: Callable[..., Events], file_of: Callable[..., bytes], tmp_path: Path, through: str
) -> None:
    """Each process plays from one restart to the next, nothing is lost or fired twice, and times are kept."""
    path, pid, report = tmp_path / "restart.play", tmp_path / "pid", tmp_path / "report"
    events = scenario(60_000, gap=20_000)
    parts = [events.take(np.s_[a : a + 20_000]) for a in range(0, 60_000, 20_000)]
    restarts = [(PLAY_RESTART, int(p.head["ts"][-1]) - 1_700_000_000_000_000_000) for p in parts[:2]]
    path.write_bytes(file_of(parts[0], restarts[0], parts[1], restarts[1], parts[2], thread=np.arange(20_000) % 5))
    command = [binaries / "peerwatch-player", "--pid-file", pid, "--report", report, path if through == "file" else "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(path.read_bytes() if through == "pipe" else b"")
        process.stdin.close()
    reports = follow(pid, report)
    assert [(sum(r["fired"].values()), r["ended"]) for r in reports] == [
        (20_000, "restart"),
        (20_000, "restart"),
        (20_000, "done"),
    ]
    assert [r["successor"] for r in reports] == [reports[1]["pid"], reports[2]["pid"], None]
    assert len({r["pid"] for r in reports}) == 3
    assert sum((Counter(r["fired"]) for r in reports), Counter()) == Counter(counts(events))
    assert sum(r["elapsed_ns"] for r in reports) >= 1.1 * SECOND


def test_sighup_restarts_anywhere(
    binaries: Path, scenario: Callable[..., Events], file_of: Callable[..., bytes], tmp_path: Path
) -> None:
    """Restarts by signal at any moment lose nothing and fire nothing twice."""
    path, pid, report = tmp_path / "hup.play", tmp_path / "pid", tmp_path / "report"
    events = scenario(100_000, gap=20_000)
    path.write_bytes(file_of(events, thread=np.arange(100_000) % 3))
    with subprocess.Popen([binaries / "peerwatch-player", "--pid-file", pid, "--report", report, path]) as process:
        for _ in range(4):
            time.sleep(0.3)
            os.kill(wait_for(pid), signal.SIGHUP)
        process.wait(timeout=30)
    reports = follow(pid, report)
    assert [r["ended"] for r in reports] == ["restart"] * 4 + ["done"]
    assert sum((Counter(r["fired"]) for r in reports), Counter()) == Counter(counts(events))


def test_a_successor_starts_when_its_predecessor_is_gone(
    binaries: Path, scenario: Callable[..., Events], file_of: Callable[..., bytes], tmp_path: Path
) -> None:
    """As with a node that is restarted, there are never two; started_ns of the second is after the first one's end."""
    path, pid, report = tmp_path / "one.play", tmp_path / "pid", tmp_path / "report"
    path.write_bytes(file_of(scenario(16), (PLAY_RESTART, 0), (PLAY_EXIT, 0)))
    subprocess.run([binaries / "peerwatch-player", "--pid-file", pid, "--report", report, path], check=True, timeout=60)
    first, second = follow(pid, report)
    assert second["started_ns"] >= first["started_ns"] + first["elapsed_ns"]
    assert second["ended"] == "exit"
