"""What /proc tells, of real processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from peerwatch.sources.usdt import processes as module
from peerwatch.sources.usdt.processes import (
    command_line,
    cpu_ns,
    file_id,
    is_kernel_thread,
    path_of,
    process_ids,
    read_process,
    shown,
    start_ticks,
)

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def as_user(uid: int, body: Callable[[], Any]) -> Callable[[], Any]:
    def inside() -> Any:
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        return body()

    return inside


def test_everything_of_a_running_process(player: Any) -> None:
    """Arguments, user, executable and start time are those of the process."""
    before = time.time_ns()
    pid = player("--name", "x")
    facts = read_process(pid)
    assert facts is not None
    assert facts.args == (player.path, "--load", "forever", "--rate", "10", "--name", "x")
    assert (facts.uid, facts.binary, facts.certain) == (os.geteuid(), player.path, True)
    assert facts.file == file_id(player.path)
    assert before - 20_000_000 <= facts.started_ns <= time.time_ns()
    assert facts.ticks == start_ticks(pid)
    assert path_of(facts) == player.path


def test_a_process_that_is_gone_is_none(player: Any) -> None:
    """Neither a dead id nor a zombie has facts."""
    pid = player()
    os.kill(pid, signal.SIGKILL)
    while (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split())[0] != "Z":
        time.sleep(0.001)
    assert start_ticks(pid) is None
    assert read_process(pid) is None
    player.running[0].wait()
    assert command_line(pid) is None
    assert start_ticks(pid) is None
    assert not is_kernel_thread(pid)


def test_a_process_whose_number_changes_hands_while_it_is_read_is_none(player: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Facts of two processes are never mixed."""
    pid = player()
    ticks = iter([1, 2])
    monkeypatch.setattr(module, "start_ticks", lambda _pid: next(ticks))
    assert read_process(pid) is None


def test_a_name_with_parentheses_and_spaces_is_read_past(tmp_path: Path) -> None:
    """The process name is chosen by the user and may look like other fields."""
    path = tmp_path / "a) Z 1 (b"
    shutil.copy2("/bin/sleep", path)
    with subprocess.Popen([path, "60"]) as process:
        try:
            ticks = start_ticks(process.pid)
            assert ticks is not None
            assert ticks > 1
        finally:
            process.kill()


def test_a_replaced_executable_is_reached_through_proc(player: Any) -> None:
    """After an upgrade the process still runs the old file; its path leads to another one."""
    pid = player()
    old = file_id(player.path)
    Path(player.path).unlink()
    shutil.copy2("/bin/true", player.path)
    facts = read_process(pid)
    assert facts is not None
    assert (facts.binary, facts.file) == (player.path, old)
    assert path_of(facts) == f"/proc/{pid}/exe"
    assert file_id(player.path) != old


@root_only
def test_another_users_process_is_known_by_its_command_line(
    player: Any, outside: Path, in_child: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the executable is closed to us, an absolute command or one of PATH gives it, and says that it is not certain."""
    pid = player("--name", "x")
    monkeypatch.setenv("PATH", str(outside))
    by_path = subprocess.Popen(["node", "--load", "forever", "--rate", "10"], stdout=subprocess.DEVNULL)
    relative = subprocess.Popen(["./node", "--load", "forever", "--rate", "10"], stdout=subprocess.DEVNULL, cwd=outside)
    player.running += [by_path, relative]
    time.sleep(0.1)

    def body() -> list[Any]:
        found = [read_process(p) for p in (pid, by_path.pid, relative.pid)]
        return [(f.binary, f.certain, f.uid) for f in found if f]

    own = os.geteuid()
    assert in_child(as_user(30124, body)) == [[player.path, False, own], [player.path, False, own], [None, False, own]]


def test_processes_and_kernel_threads() -> None:
    """This process is among them and is no kernel thread; the kernel's own are told apart, where they can be seen."""
    assert os.getpid() in process_ids()
    assert not is_kernel_thread(os.getpid())
    threads = [pid for pid in process_ids() if is_kernel_thread(pid)]
    assert all(command_line(pid) in (b"", None) for pid in threads)


def test_an_overwritten_file_keeps_its_place(tmp_path: Path) -> None:
    """Writing into a file changes its identity but not its place; another file has both of its own."""
    path = tmp_path / "file"
    path.write_bytes(b"one")
    one = file_id(path)
    path.write_bytes(b"three")
    three = file_id(path)
    assert one is not None
    assert three is not None
    assert one != three
    assert one.place == three.place
    assert file_id(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("text", "safe"), [("/a b", "/a b"), ("/\x1b[2J", "/\\x1b[2J"), ("/\udcff", "/\\xff"), ("/é", "/\\xc3\\xa9")]
)
def test_what_is_shown_is_printable(text: str, safe: str) -> None:
    """Control bytes, and names that are not UTF-8, are escaped; the length is bounded."""
    assert shown(text) == safe
    assert len(shown("\x00" * 10_000)) == 1024
    assert shown("abcdef", 3) == "abc"


def test_processor_time() -> None:
    """It grows with what a process does, and one that is gone has none."""
    before = cpu_ns(os.getpid())
    assert before is not None
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    after = cpu_ns(os.getpid())
    assert after is not None
    assert after > before
    assert cpu_ns(2**22) is None
