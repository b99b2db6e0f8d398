"""Figures of a process, against psutil's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
import pytest

from peerwatch.schema.batch import SECOND
from peerwatch.schema.table import Identity
from peerwatch.schema.tables.process_state import ProcessState
from peerwatch.schema.tables.thread_state import ThreadState
from peerwatch.sources.process.figures import count_descriptors, disk_free, ns_of_ticks, read_figures
from peerwatch.sources.process.proc import Proc

MIB = 1 << 20


def figures(pid: int, datadir: Path | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    proc = Proc(pid)
    read = read_figures(proc, datadir)
    proc.close()
    assert read is not None
    return read


def test_figures_are_those_that_psutil_reads(child, tmp_path: Path) -> None:
    """Of a process that holds memory and files, has worked, and rests now."""
    one = child("bitcoind", "b-msghand=0.2", "b-net")
    one.do("held.append(b'x' * (32 << 20))")
    one.do("held.append([open('/dev/null') for _ in range(20)])")
    one.do(f"file = open({str(tmp_path / 'written')!r}, 'wb'); file.write(b'x' * 100000); file.flush(); os.fsync(file.fileno())")
    oracle = psutil.Process(one.pid)
    before = oracle.cpu_times()
    state, _ = figures(one.pid, tmp_path)
    after = oracle.cpu_times()
    assert state["pid"] == one.pid
    assert before.user <= state["cpu_user"] / SECOND <= after.user
    assert before.system <= state["cpu_system"] / SECOND <= after.system
    assert state["cpu_user"] + state["cpu_system"] >= 0.2 * SECOND
    assert state["resident"] == pytest.approx(oracle.memory_info().rss, rel=0.02)
    assert 32 * MIB <= state["anonymous"] <= state["resident"]
    assert state["swapped"] == oracle.memory_full_info().swap
    assert state["threads"] == oracle.num_threads() == 3
    assert state["descriptors"] == oracle.num_fds() >= 24
    assert state["descriptors_most"] == oracle.rlimit(psutil.RLIMIT_NOFILE)[0]
    io = oracle.io_counters()
    assert (state["read"], state["written"]) == (io.read_bytes, io.write_bytes)
    assert state["faults_major"] >= 0
    assert state["disk_free"] == pytest.approx(psutil.disk_usage(str(tmp_path)).free, rel=0.01)


def test_a_process_is_the_sum_of_its_threads(child) -> None:
    """As long as none has ended: processor time within a tick a thread, context switches exactly."""
    one = child("bitcoind", "b-msghand=0.1", "b-net", "b-scriptch.0=0.1", "b-scriptch.1")
    state, threads = figures(one.pid)
    assert sum(threads["threads"]) == state["threads"] == 5
    assert abs(sum(threads["cpu_user"]) - state["cpu_user"]) <= ns_of_ticks(5)
    assert sum(threads["switches_voluntary"]) == state["switches_voluntary"] >= 1
    assert sum(threads["switches_forced"]) == state["switches_forced"]


def test_rows_fit_their_tables(child) -> None:
    """Every column is one of the table, and all of the table are there."""
    state, threads = figures(child("bitcoind", "b-net").pid)
    batch = ProcessState.build(Identity("alice", 1, "process"), {"ts": [1], "seq": [0], **{k: [v] for k, v in state.items()}})
    assert state.keys() | {"node", "session", "source", "ts", "seq"} == set(batch.schema.names)
    many = len(threads["thread"])
    batch = ThreadState.build(Identity("alice", 1, "process"), {"ts": [1] * many, "seq": list(range(many)), **threads})
    assert threads.keys() | {"node", "session", "source", "ts", "seq"} == set(batch.schema.names)
    assert batch.num_rows == 2


def test_what_is_closed_to_another_user_is_null(child, nobody) -> None:
    """Only disk traffic is (and the descriptors, before Linux 6.2); all else is read without any right."""
    one = child("bitcoind", "b-net")
    state, threads = nobody(lambda: figures(one.pid))
    closed = {name for name, value in state.items() if value is None} - {"descriptors"}
    assert closed == {"read", "written", "disk_free"}
    assert None not in [value for values in threads.values() for value in values]


def test_a_process_that_has_ended_has_no_figures(child) -> None:
    """Neither a zombie nor one that is gone."""
    one = child("bitcoind", "b-net")
    proc = Proc(one.pid)
    one.kill()
    assert read_figures(proc, None) is None
    one.reap()
    assert read_figures(proc, None) is None
    assert count_descriptors(proc) is None
    proc.close()


def test_a_disk_that_is_not_there_is_null(tmp_path: Path) -> None:
    """Its free bytes are not known, which is no error."""
    assert disk_free(tmp_path / "nothing") is None
    assert disk_free(None) is None
