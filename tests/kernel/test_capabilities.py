"""What each set of capabilities allows to a user who is neither root nor the user of the traced process."""

from __future__ import annotations

import ctypes
import mmap
import os
import pickle
import shutil
import struct
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from peerwatch.sources.usdt.kernel import OBJECT, UPROBE_MULTI, UPROBE_PERF, Kernel, KernelError, kernel_release
from peerwatch.sources.usdt.libbpf import map_update
from peerwatch.sources.usdt.ring import Ring
from peerwatch.sources.usdt.slots import SLOT, Control, Slots

pytestmark = pytest.mark.kernel

CAP_PERFMON, CAP_BPF = 38, 39
TRACER, NODE = 65533, 65532
_PR_SET_KEEPCAPS, _PR_CAPBSET_DROP, _SYS_CAPSET = 8, 24, 126


def as_user(capabilities: set[int], function: Callable[[], Any]) -> Any:
    """What `function` returns in a child with another user and these capabilities only."""
    libc = ctypes.CDLL(None, use_errno=True)
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads of the test process do not come along
        child = os.fork()
    if child == 0:
        answer: Any = None
        try:
            for capability in set(range(41)) - capabilities:
                libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
            libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
            os.setgroups([])
            os.setresgid(TRACER, TRACER, TRACER)
            os.setresuid(TRACER, TRACER, TRACER)
            high = sum(1 << capability - 32 for capability in capabilities)
            assert libc.syscall(_SYS_CAPSET, struct.pack("<II", 0x20080522, 0), struct.pack("<6I", 0, 0, 0, high, high, 0)) == 0
            answer = function()
        except BaseException as error:  # noqa: BLE001 - reported to the parent
            answer = error
        os.write(writing, pickle.dumps(answer))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pickle.loads(pipe.read())  # noqa: S301 - of our own child
    os.waitpid(child, 0)
    if isinstance(answer, BaseException):
        raise answer
    return answer


@pytest.fixture
def shared() -> Iterator[tuple[Path, Path]]:
    """The BPF object and a player where every user can read them."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        player = OBJECT.parents[4] / "build/player/peerwatch-player"
        yield Path(shutil.copy(OBJECT, folder)), Path(shutil.copy2(player, folder))


def trace(bpf_object: Path, binary: Path, wanted: int, method: str | None = None) -> tuple[str, int]:
    """Load, attach, read so many records: how it was attached, and how many came."""
    kernel = Kernel.load(bpf_object, ring_bytes=1 << 20, attach_method=method)
    kernel.attach(binary)
    ring = Ring(kernel.fds["ring"], kernel.ring_bytes)
    count = 0
    deadline = time.monotonic() + 30
    while count < wanted and time.monotonic() < deadline:
        _buf, offsets, position = ring.read(1 << 20)
        ring.publish(position)
        count += len(offsets)
        time.sleep(0.01)
    kernel.close()
    return kernel.attach_method, count


@pytest.mark.skipif(kernel_release() < (6, 6), reason="multi-uprobe links came with Linux 6.6")
def test_two_capabilities_are_enough(players: Any, shared: tuple[Path, Path]) -> None:
    """With only CAP_BPF and CAP_PERFMON, and as another user than the node's, everything of a node is traced."""
    bpf_object, binary = shared
    process = players.start(binary, "--load", "1000", "--wait-attached", "30", user=NODE)
    method, count = as_user({CAP_BPF, CAP_PERFMON}, lambda: trace(bpf_object, binary, 1125))
    assert method == UPROBE_MULTI
    assert count == 1125
    assert sum(players.report(process)["fired"].values()) == 1125


@pytest.mark.parametrize("capabilities", [set(), {CAP_BPF}, {CAP_PERFMON}], ids=["none", "bpf", "perfmon"])
def test_less_is_refused_with_what_to_do(shared: tuple[Path, Path], capabilities: set[int]) -> None:
    """Without either capability loading fails in one line that says what is needed."""
    with pytest.raises(KernelError, match="run as root, or with CAP_BPF and CAP_PERFMON"):
        as_user(capabilities, lambda: trace(*shared, 1))


def test_the_older_way_needs_root(shared: tuple[Path, Path]) -> None:
    """Perf uprobes cannot be had with the two capabilities alone, and the error says so."""
    with pytest.raises(KernelError, match=r"run as root \(without CAP_SYS_ADMIN, tracing needs Linux 6.6"):
        as_user({CAP_BPF, CAP_PERFMON}, lambda: trace(*shared, 1, UPROBE_PERF))


def test_a_reader_needs_nothing(load: Callable[..., Kernel], players: Any, shared: tuple[Path, Path]) -> None:
    """Without any capability the inherited maps are read, limits are set, and nothing else can be done with them."""
    kernel = load(1 << 20)
    kernel.attach(shared[1])
    players.run(shared[1], "--load", "100", "--no-connections", "--peers", "1")

    def read() -> tuple[int, int, list[str]]:
        ring = Ring(kernel.fds["ring"], kernel.ring_bytes)
        slots = Slots(kernel.fds["slots"])
        Control(kernel.fds["control"]).set_limits({"block": 256})
        _buf, offsets, position = ring.read(1 << 20)
        ring.publish(position)
        refused = []
        for name, attempt in {
            "write slots": lambda: map_update(kernel.fds["slots"], bytes(4), bytes(SLOT.itemsize)),
            "map slots writable": lambda: mmap.mmap(kernel.fds["slots"], mmap.PAGESIZE),
            "map ring data writable": lambda: mmap.mmap(kernel.fds["ring"], mmap.PAGESIZE, offset=2 * mmap.PAGESIZE),
            "load": lambda: Kernel.load(shared[0], 4096),
        }.items():
            try:
                attempt()
            except (OSError, KernelError):
                refused.append(name)
        return len(offsets), int(slots.live["seen"][0]), refused

    assert as_user(set(), read) == (101, 101, ["write slots", "map slots writable", "map ring data writable", "load"])
    assert (Control(kernel.fds["control"])._control["limits"]["table"]["limit"] == [256, 256]).all(axis=-1).sum() == 1
