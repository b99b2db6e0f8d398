"""The thin layer over libbpf, with real maps."""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Iterator

import pytest

from peerwatch.sources.usdt import libbpf
from peerwatch.sources.usdt.kernel import OBJECT, kernel_release

pytestmark = pytest.mark.kernel


@pytest.fixture
def loaded() -> Iterator[libbpf.Object]:
    """The BPF object, loaded for multi-uprobe links."""
    program = libbpf.Object(str(OBJECT))
    program.set_max_entries("ring", mmap.PAGESIZE)
    program.set_attach_type("on_nothing", libbpf.TRACE_UPROBE_MULTI)
    program.load()
    yield program
    program.close()
    program.close()


def test_elements_of_a_map(loaded: libbpf.Object) -> None:
    """What is set is found, what is deleted is not, and a second deletion says that there was nothing."""
    procs = loaded.map_fd("procs")
    key = (4711).to_bytes(4, "little")
    assert libbpf.map_lookup(procs, key, 4) is None
    libbpf.map_update(procs, key, b"abcd")
    assert libbpf.map_lookup(procs, key, 4) == b"abcd"
    assert libbpf.map_delete(procs, key)
    assert not libbpf.map_delete(procs, key)
    assert libbpf.map_lookup(procs, key, 4) is None


def test_failures_carry_the_system_error(loaded: libbpf.Object) -> None:
    """Wrong descriptors, keys and names raise OSError with its number."""
    closed = os.dup(loaded.map_fd("specs"))
    os.close(closed)
    found = {}
    for name, attempt in {
        "look up nowhere": lambda: libbpf.map_lookup(closed, bytes(4), 4),
        "delete nowhere": lambda: libbpf.map_delete(closed, bytes(4)),
        "beyond the array": lambda: libbpf.map_update(loaded.map_fd("specs"), b"\xff" * 4, bytes(136)),
        "no such map": lambda: loaded.map_fd("nowhere"),
        "no such program": lambda: loaded.program_fd("nowhere"),
        "no such file": lambda: libbpf.Object("/nowhere/trace.bpf.o"),
    }.items():
        try:
            attempt()
        except OSError as error:
            found[name] = error.errno
    assert found == {
        "look up nowhere": errno.EBADF,
        "delete nowhere": errno.EBADF,
        "beyond the array": errno.E2BIG,
        "no such map": errno.ENOENT,
        "no such program": errno.ENOENT,
        "no such file": errno.ENOENT,
    }


def test_a_frozen_map_is_read_only(loaded: libbpf.Object) -> None:
    """User space neither updates nor maps it writable any more, and goes on reading it."""
    slots = loaded.map_fd("slots")
    libbpf.map_update(slots, bytes(4), b"\x01" * 128)
    libbpf.map_freeze(slots)
    with pytest.raises(PermissionError):
        libbpf.map_update(slots, bytes(4), bytes(128))
    with pytest.raises(PermissionError):
        mmap.mmap(slots, mmap.PAGESIZE)
    assert libbpf.map_lookup(slots, bytes(4), 128) == b"\x01" * 128


def test_the_kernel_is_asked_for_multi_uprobe_links(loaded: libbpf.Object) -> None:
    """They came with Linux 6.6."""
    assert libbpf.has_uprobe_multi(loaded.program_fd("on_nothing")) is (kernel_release() >= (6, 6))


def test_libbpf_is_heard(capfd: pytest.CaptureFixture[str]) -> None:
    """What libbpf says is kept for the error, once, and not written to the terminal."""
    with pytest.raises(OSError, match=r"."):
        libbpf.Object("/nowhere/trace.bpf.o")
    assert "/nowhere/trace.bpf.o" in libbpf.take_printed()
    assert libbpf.take_printed() == ""
    assert capfd.readouterr().err == ""
