"""Several processes, restarts, several binaries, binaries that differ from what is declared, and files that are no binaries."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peerwatch.sources.usdt import libbpf
from peerwatch.sources.usdt.kernel import MAX_SPECS, UPROBE_MULTI, UPROBE_PERF, Kernel, KernelError, kernel_release
from peerwatch.sources.usdt.probes import DESCRIBED, PROBES
from peerwatch.sources.usdt.slots import MAX_SLOTS, Control

pytestmark = pytest.mark.kernel

TEN = ("--load", "10", "--no-connections", "--peers", "1")
WAIT = ("--wait-attached", "30")
MULTI = pytest.param(
    UPROBE_MULTI, marks=pytest.mark.skipif(kernel_release() < (6, 6), reason="multi-uprobe links came with Linux 6.6")
)


def test_a_restarted_process_is_traced_from_its_first_message(load: Callable[..., Kernel], players: Any, reader: Any) -> None:
    """Attached once, each later process of the binary has a slot of its own, from number 0, and its peers are described again."""
    kernel = load()
    path = players.copy()
    kernel.attach(path)
    read = reader(kernel)
    pids = [players.run(path, *TEN)["pid"] for _ in range(3)]
    headers = read.drain()
    used = read.slots.used()
    rows = read.slots.copy(used)
    assert rows["tgid"].tolist() == pids
    assert rows["seen"].tolist() == [11, 11, 11]
    assert (np.diff(rows["first_ns"].astype(np.int64)) > 0).all()
    for slot, row, pid in zip(used, rows, pids, strict=True):
        assert kernel.slot_of(pid) == slot
        of_slot = headers[headers["slot"] == slot]
        assert of_slot["seq"].tolist() == list(range(11))
        assert of_slot["probe"][0] == DESCRIBED
        assert row["first_ns"] <= of_slot["ts"].min()


def test_an_ignored_process_leaves_nothing(load: Callable[..., Kernel], players: Any, reader: Any) -> None:
    """A second process of the binary that is ignored before its first message leaves no record, no count and takes no slot."""
    kernel = load()
    path = players.copy()
    kernel.attach(path)
    ours = players.hold(path, *TEN)
    other = players.hold(path, *TEN)
    kernel.ignore(other.pid)
    for process in (ours, other):
        assert sum(players.report(process)["fired"].values()) == 10
    read = reader(kernel)
    headers = read.drain()
    assert len(headers) == 11
    assert read.slots.copy(read.slots.used())["tgid"].tolist() == [ours.pid]
    assert kernel.slot_of(other.pid) is None
    assert Control(kernel.fds["control"]).unassigned == 0


def test_ignoring_and_forgetting_a_running_process(load: Callable[..., Kernel], players: Any, reader: Any) -> None:
    """A process that is ignored while it runs goes silent; forgotten, it is taken for a new one."""
    kernel = load()
    path = players.copy()
    kernel.attach(path)
    read = reader(kernel)
    process = players.start(path, "--load", "forever", "--rate", "2000")

    def wait_for(*, silent: bool) -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            read.drain()
            before = int(read.slots.live["seen"].sum())
            time.sleep(0.1)
            if (int(read.slots.live["seen"].sum()) == before) is silent:
                return
        pytest.fail("nothing changed")

    wait_for(silent=False)
    assert kernel.slot_of(process.pid) == 0
    kernel.ignore(process.pid)
    wait_for(silent=True)
    kernel.forget(process.pid)
    wait_for(silent=False)
    assert kernel.slot_of(process.pid) == 1
    assert read.slots.live["tgid"][:3].tolist() == [process.pid, process.pid, 0]
    process.send_signal(signal.SIGTERM)
    players.report(process)


@pytest.mark.parametrize("method", [MULTI, UPROBE_PERF])
def test_detached_processes_go_on_untraced(load: Callable[..., Kernel], players: Any, reader: Any, method: str) -> None:
    """After detaching, or when the tracer is gone, probes are inactive and processes undisturbed; attaching again works."""
    kernel = load(attach_method=method)
    path = players.copy("player-older")
    read = reader(kernel)
    for expected in (11, 22):
        binary = kernel.attach(path)
        players.run(path, *TEN, *WAIT)
        kernel.detach(binary)
        kernel.detach(binary)
        players.run(path, *TEN)
        assert len(read.drain()) == expected
    kernel.attach(path)
    kernel.close()
    kernel.close()
    process = players.start(path, "--cost", "100", "1000")
    assert players.report(process)["attached"] is False


def test_two_binaries_at_once(load: Callable[..., Kernel], players: Any, reader: Any) -> None:
    """Two binaries are traced side by side, and detaching one leaves the other."""
    kernel = load()
    paths = [players.copy(name=name) for name in ("one", "two")]
    binaries = [kernel.attach(path) for path in paths]
    read = reader(kernel)
    for path in paths:
        players.run(path, *TEN)
    assert np.bincount(read.drain()["slot"]).tolist() == [11, 11]
    kernel.detach(binaries[0])
    for path in paths:
        players.run(path, *TEN)
    assert np.bincount(read.drain()["slot"]).tolist() == [11, 11, 11]


def test_an_upgraded_binary_is_another_file(load: Callable[..., Kernel], players: Any, reader: Any) -> None:
    """A binary replaced under its path is told by device and inode, and attached beside the old one, which still runs."""
    kernel = load()
    path = players.copy()
    old = kernel.attach(path)
    path.unlink()
    path = players.copy()
    players.run(path, *TEN)
    read = reader(kernel)
    assert len(read.drain()) == 0
    new = kernel.attach(path)
    assert (old.device, old.inode) != (new.device, new.inode)
    players.run(path, *TEN)
    assert len(read.drain()) == 11


def test_a_running_binary_is_attached_through_proc(load: Callable[..., Kernel], players: Any, reader: Any) -> None:
    """A process whose binary is gone from its path is traced through /proc/PID/exe."""
    path = players.copy()
    started = path.with_suffix(".pid")
    process = players.start(path, "--load", "forever", "--rate", "1000", "--pid-file", str(started))
    while not started.exists() or not started.read_text():
        time.sleep(0.01)
    path.unlink()
    kernel = load()
    kernel.attach(f"/proc/{process.pid}/exe")
    read = reader(kernel)
    deadline = time.monotonic() + 30
    while not read.read() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert read.slots.live["tgid"][0] == process.pid
    process.send_signal(signal.SIGTERM)
    players.report(process)


def test_an_older_binary_has_fewer_probes(load: Callable[..., Kernel], players: Any) -> None:
    """What is there is attached, what is not is named."""
    binary = load().attach(players.copy("player-older"))
    absent = {f"mempool:{name}" for name in ("added", "removed", "replaced", "rejected")}
    absent |= {"net:evicted_inbound_connection", "net:misbehaving_connection"}
    assert set(binary.missing) == absent
    assert binary.not_understood == {}
    assert binary.attached.keys() == {probe.full_name for probe in PROBES} - absent


def test_changed_probes_are_named_and_not_attached(load: Callable[..., Kernel], players: Any, reader: Any) -> None:
    """Probes with other arguments than declared are not attached, with a reason each; the others are, and arrive whole."""
    kernel = load()
    path = players.copy("player-changed")
    binary = kernel.attach(path)
    assert binary.not_understood == {
        "net:inbound_message": "argument size has 4 bytes instead of 8",
        "net:closed_connection": "4 arguments instead of 5",
    }
    assert binary.missing == ()
    report = players.run(path, "--load", "100", "--no-connections")
    headers = reader(kernel).drain()
    messages = headers[headers["probe"] != DESCRIBED]
    assert {PROBES[n].full_name for n in messages["probe"]} == {"net:outbound_message"}
    assert len(messages) == report["fired"]["net:outbound_message"]


def test_a_binary_without_probes_is_no_error(load: Callable[..., Kernel], players: Any) -> None:
    """Nothing is attached, and every probe is missing."""
    binary = load().attach(players.copy("player-noprobes"))
    assert binary.sites == ()
    assert len(binary.missing) == len(PROBES)


def test_what_is_no_binary_is_refused(load: Callable[..., Kernel], tmp_path: Path) -> None:
    """A missing path, a folder, a pipe, a socket and a text file are refused in one line that names the path."""
    kernel = load()
    (tmp_path / "text").write_text("not a binary")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
        for name in ("missing", ".", "text", "pipe", "socket"):
            with pytest.raises(KernelError) as raised:
                kernel.attach(tmp_path / name)
            assert str(tmp_path / name) in str(raised.value)
            assert "\n" not in str(raised.value)


def test_processes_beyond_the_last_slot_are_counted(load: Callable[..., Kernel], players: Any, reader: Any) -> None:
    """When slots run out, hits are counted as unassigned, and nothing else happens."""
    kernel = load()
    libbpf.map_update(kernel._object.map_fd("next_slot"), bytes(4), (MAX_SLOTS - 1).to_bytes(8, "little"))
    path = players.copy()
    kernel.attach(path)
    read = reader(kernel)
    last = players.run(path, *TEN)["pid"]
    players.run(path, *TEN)
    assert set(read.drain()["slot"]) == {MAX_SLOTS - 1}
    assert kernel.slot_of(last) == MAX_SLOTS - 1
    assert Control(kernel.fds["control"]).unassigned == 10


@pytest.mark.parametrize("method", [MULTI])
def test_probe_sites_beyond_the_room_for_them_are_refused(load: Callable[..., Kernel], players: Any, method: str) -> None:
    """More binaries than fit are refused clearly, and room that is given back is used again."""
    kernel = load(attach_method=method)
    first = kernel.attach(players.copy(), noop=True)
    fitting = MAX_SPECS // len(first.sites)
    for number in range(1, fitting):
        kernel.attach(players.copy(name=f"node{number}"), noop=True)
    last = players.copy(name="last")
    with pytest.raises(KernelError, match="too many"):
        kernel.attach(last, noop=True)
    kernel.detach(first)
    kernel.attach(last, noop=True)


def test_a_file_is_traced_once(load: Callable[..., Kernel], players: Any) -> None:
    """Under another path or through a link the same file is refused, or each of its records would come twice."""
    kernel = load()
    path = players.copy()
    link = path.with_name("link")
    link.symlink_to(path)
    binary = kernel.attach(path)
    for again in (path, link):
        with pytest.raises(KernelError, match=f"traced already, as {path}"):
            kernel.attach(again)
    kernel.detach(binary)
    kernel.attach(link)
