"""The folder of a process, held open."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from peerwatch.sources.process.proc import Proc, pid_from_file, stat_fields
from peerwatch.sources.usdt.processes import start_ticks


def test_what_it_reads_is_of_that_process(child) -> None:
    """Start, name and folders are those that others read, too."""
    one = child("bitcoind", "b-net")
    proc = Proc(one.pid)
    assert proc.start_ticks() == start_ticks(one.pid)
    assert proc.read("comm") == b"bitcoind\n"
    assert sorted(proc.names("task") or ()) == sorted(path.name for path in Path(f"/proc/{one.pid}/task").iterdir())
    assert proc.read("nothing") is None
    assert proc.names("nothing") is None
    assert proc.size("nothing") == 0
    proc.close()


def test_an_ended_process_is_told_from_the_next_with_its_number(child) -> None:
    """A zombie has no fields any more, and nothing at all is read of a process that is gone, though its folder is still held."""
    one = child("bitcoind")
    proc = Proc(one.pid)
    one.kill()
    assert proc.start_ticks() is None
    one.reap()
    assert proc.stat() is None
    assert proc.read("comm") is None
    assert not proc.names("task")
    proc.close()
    with pytest.raises(FileNotFoundError):
        Proc(one.pid)


def test_a_name_cannot_forge_fields() -> None:
    """The name of a process is its own choice: fields begin after its last parenthesis."""
    fields = " ".join(["S", *map(str, range(4, 50))])
    read = stat_fields(f"7 (a) Z 1 (b) ) {fields}\n".encode())
    assert read is not None
    assert read[:2] == [b"S", b"4"]
    assert stat_fields(b"7 (a") is None
    assert stat_fields(b"") is None
    assert stat_fields(None) is None


def test_too_few_descriptors_is_no_end_of_the_process(child) -> None:
    """An error that is ours is raised, and not taken for the process having ended."""
    one = child("bitcoind")
    proc = Proc(one.pid)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            proc.start_ticks()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert proc.start_ticks()
    proc.close()


@pytest.mark.parametrize("name", ["bitcoind", "bitcoin-qt", "bitcoin-node", "bitcoin-knots", "b-shutoff"])
def test_a_pid_file_names_a_node(child, tmp_path: Path, name: str) -> None:
    """Whatever of Core's or a fork's executables it is, and while it shuts down; not once it has ended."""
    one = child(name)
    file = tmp_path / "bitcoind.pid"
    file.write_text(f"{one.pid}\n")
    assert pid_from_file(file) == one.pid
    one.kill()
    assert pid_from_file(file) is None
    one.reap()
    assert pid_from_file(file) is None


@pytest.mark.parametrize("content", ["", "x", "-1", "0", "99999999999999999999999999999999999", "1\n2"])
def test_a_file_without_a_number_names_nobody(tmp_path: Path, content: str) -> None:
    """Nonsense is no process, and neither is a file that is not there."""
    file = tmp_path / "bitcoind.pid"
    assert pid_from_file(file) is None
    file.write_text(content)
    assert pid_from_file(file) is None


def test_a_number_that_another_program_has_got_names_nobody(child, tmp_path: Path) -> None:
    """A file left behind by a crash, whose number is that of something else now."""
    file = tmp_path / "bitcoind.pid"
    file.write_text(str(child("sshd", "b-net").pid))
    assert pid_from_file(file) is None
