"""Attaching to real processes: which are traced, what is recorded of each probe, and how trouble is told."""

from __future__ import annotations

import ctypes
import errno
import re
import runpy
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peerwatch.sources.usdt import libbpf
from peerwatch.sources.usdt.kernel import (
    OBJECT,
    UPROBE_MULTI,
    UPROBE_PERF,
    Kernel,
    KernelError,
    _why_not_loaded,
    kernel_release,
)
from peerwatch.sources.usdt.probes import DESCRIBED, DESCRIBED_BODY, PLAY_MAGIC, PROBES, UNREADABLE, Kind
from peerwatch.sources.usdt.slots import ADDED, MAX_LIMIT, SPENT, UNCACHED, Control

pytestmark = pytest.mark.kernel

NUMBERS = {probe.full_name: number for number, probe in enumerate(PROBES)}
HASH = bytes(range(32))
OPENED = (7, b"203.0.113.9:8333", b"inbound", 1, 17)
CALLS: list[tuple[str, tuple[Any, ...]]] = [
    ("net:inbound_connection", OPENED),
    ("net:inbound_message", (7, b"203.0.113.9:8333", b"inbound", b"tx", 5, b"hello")),
    ("net:outbound_message", (-9, b"[2001:db8::1]:8333", b"outbound-full-relay", b"verack", 0, b"")),
    ("net:outbound_connection", (2**62, b"a" * 71, b"c" * 23, 2**32 - 1, 2**64 - 1)),
    ("net:closed_connection", (7, b"203.0.113.9:8333", b"inbound", 1, 1_700_000_000)),
    ("net:evicted_inbound_connection", (-1, b"", b"", 0, 0)),
    ("net:misbehaving_connection", (3, b"r" * 127)),
    ("mempool:added", (HASH, -1, -(2**63))),
    ("mempool:removed", (HASH[::-1], b"expiry", 2**31 - 1, 2**63 - 1, 2**64 - 1)),
    ("mempool:replaced", (HASH, -(2**31), -1, 5, HASH[::-1], 9, 10, 1)),
    ("mempool:rejected", (HASH, b"bad-txns-in-belowout, value in (1) < value out (2)")),
    ("validation:block_connected", (HASH, 800_000, 2**40, 3, 2**63, 4)),
    ("utxocache:flush", (-5, 2, 2**63, 2**64 - 1, 1)),
]
MULTI = pytest.param(
    UPROBE_MULTI, marks=pytest.mark.skipif(kernel_release() < (6, 6), reason="multi-uprobe links came with Linux 6.6")
)


def play(path: Path, calls: list[tuple[str, tuple[Any, ...]]]) -> Path:
    """Write a play file: each call with its arguments, all at once, from one thread."""
    records = [PLAY_MAGIC, struct.pack("<Q", 0)]
    for name, values in calls:
        body = b""
        for arg, value in zip(PROBES[NUMBERS[name]].args, values, strict=True):
            if arg.kind is Kind.INT:
                body += (value % 2**64).to_bytes(8, "little")
            else:
                body += (struct.pack("<H", len(value)) if arg.kind is Kind.TEXT else b"") + value
        records.append(struct.pack("<QBBHI", 0, NUMBERS[name], 0, 0, len(body)) + body + bytes(-len(body) % 8))
    path.write_bytes(b"".join(records))
    return path


@pytest.mark.parametrize("method", [MULTI, UPROBE_PERF])
def test_every_probe_is_recorded_as_declared(
    load: Callable[..., Kernel], players: Any, reader: Any, tmp_path: Path, method: str
) -> None:
    """All arguments of all probes arrive, whether they lie in registers, on the stack, behind a pointer or are constants."""
    calls = CALLS * 4  # the player has each probe at four places, and they take turns
    kernel = load(attach_method=method)
    assert kernel.attach_method == method
    path = players.copy()
    attached = kernel.attach(path)
    assert attached.blind == {}
    assert attached.attached.keys() == NUMBERS.keys()
    read = reader(kernel, keep_bodies=True)
    process = players.start(path, "--wait-attached", "30", "--speed", "max", "--threads", "1", str(play(tmp_path / "all", calls)))
    headers = read.drain(process)
    players.report(process)
    events = headers["probe"] != DESCRIBED
    assert [PROBES[n].full_name for n in headers["probe"][events]] == [name for name, _ in calls]
    assert (headers["flags"] == 0).all()
    assert (headers["seq"] == np.arange(len(headers))).all()
    bodies = [body for body, event in zip(read.bodies, events, strict=True) if event]
    for (name, values), header, body in zip(calls, headers[events], bodies, strict=True):
        probe = PROBES[NUMBERS[name]]
        assert header["peer"] == (values[0] if probe.args[0].name == "peer" else 0)
        if probe.args[-1].kind is Kind.PAYLOAD:
            assert (header["type"].tobytes().rstrip(b"\0"), header["size"], body) == values[3:]
        else:
            found = np.frombuffer(body, probe.body)[0]
            assert tuple(bytes(v) if isinstance(v, bytes | np.void) else int(v) for v in found) == values
            assert header["size"] == 0


def test_a_peer_is_described_once(load: Callable[..., Kernel], players: Any, reader: Any, tmp_path: Path) -> None:
    """A peer whose connection was seen is not described, any other one before its first message, and again after it left."""
    message = lambda peer: ("net:inbound_message", (peer, b"198.51.100.7:1", b"manual", b"ping", 2, b"ab"))  # noqa: E731 - a table
    calls = [
        ("net:inbound_connection", OPENED), message(7), message(8), message(8), message(9), message(8),
        ("net:closed_connection", OPENED), message(7),
    ]  # fmt: skip
    kernel = load()
    path = players.copy()
    kernel.attach(path)
    read = reader(kernel, keep_bodies=True)
    players.run(path, "--wait-attached", "30", "--speed", "max", "--threads", "1", str(play(tmp_path / "peers", calls)))
    headers = read.drain()
    m, d = NUMBERS["net:inbound_message"], DESCRIBED
    opened, closed = NUMBERS["net:inbound_connection"], NUMBERS["net:closed_connection"]
    assert headers["probe"].tolist() == [opened, m, d, m, m, d, m, m, closed, d, m]
    assert headers["peer"].tolist() == [7, 7, 8, 8, 8, 9, 9, 8, 7, 7, 7]
    for at in np.flatnonzero(headers["probe"] == d):
        assert np.frombuffer(read.bodies[at], DESCRIBED_BODY)[0].tolist() == (b"198.51.100.7:1", b"manual")


def test_old_ring_memory_never_shows(load: Callable[..., Kernel], players: Any, reader: Any, tmp_path: Path) -> None:
    """After laps of long texts, the fields of short ones hold nothing else."""
    long = [("net:misbehaving_connection", (1, b"X" * 127)), ("mempool:rejected", (b"\xff" * 32, b"X" * 119))]
    short = [("net:misbehaving_connection", (2, b"s")), ("mempool:rejected", (HASH, b"")), CALLS[1]]
    kernel = load(ring_bytes=16384)
    path = players.copy()
    kernel.attach(path)
    read = reader(kernel, keep_bodies=True)
    for round_of in (long * 20, short * 10) * 10:
        file = play(tmp_path / "texts", round_of)
        players.run(path, "--wait-attached", "30", "--speed", "max", "--threads", "1", str(file))
        read.drain()
    headers = read.headers
    assert read.ring.position > 5 * kernel.ring_bytes
    for header, body in zip(headers, read.bodies, strict=True):
        if header["probe"] == NUMBERS["net:misbehaving_connection"] and header["peer"] == 2:
            assert body[8:] == b"s".ljust(128, b"\0")
        if header["probe"] == NUMBERS["mempool:rejected"] and body.startswith(HASH):
            assert body[32:] == bytes(120)
        if header["probe"] == NUMBERS["net:inbound_message"]:
            assert header["type"].tobytes() == b"tx".ljust(16, b"\0")


def test_pages_that_cannot_be_read_are_flagged(load: Callable[..., Kernel], players: Any, reader: Any) -> None:
    """A payload with pages that are not resident arrives with its flag, and is counted; the same one resident has none."""
    kernel = load()
    path = players.copy()
    kernel.attach(path)
    for arguments, flag in ((["--nonresident=3"], UNREADABLE), ([], 0)):
        read = reader(kernel)
        players.run(path, "--cost", "20000", "--rounds", "1", *arguments, "50")
        headers = read.drain()
        messages = headers[headers["probe"] == NUMBERS["net:inbound_message"]]
        assert len(messages) == 50
        assert (messages["flags"] == flag).all()
        assert read.slots.copy(read.slots.used())["unreadable"][-1] == (50 if flag else 0)


def test_coins_are_counted_and_not_recorded(load: Callable[..., Kernel], players: Any, reader: Any) -> None:
    """utxocache:add, spent and uncache leave counts and no record."""
    kernel = load()
    path = players.copy()
    kernel.attach(path)
    read = reader(kernel)
    players.run(path, "--load", "10", "--coins", "5000", "--wait-attached", "30")
    (slot,) = read.slots.copy(read.slots.used())
    assert [slot["counted"][i] for i in (ADDED, SPENT, UNCACHED)] == [5000, 5000, 5000]
    assert not np.isin(read.drain()["probe"], [NUMBERS[f"utxocache:{n}"] for n in ("add", "spent", "uncache")]).any()


def test_limits_hold_from_the_next_message_on(load: Callable[..., Kernel], players: Any, reader: Any, tmp_path: Path) -> None:
    """Each type is cut at its own limit, types with the same first 8 bytes apart, and new limits need no new process."""
    payload = bytes(range(250)) * 100
    types = (b"getblocks", b"getblocktxn", b"block", b"verylongname", b"x")
    calls = [("net:inbound_message", (1, b"a", b"b", name, len(payload), payload)) for name in types]
    kernel = load()
    control = Control(kernel.fds["control"])
    path = players.copy()
    kernel.attach(path)
    file = play(tmp_path / "types", calls)
    for limits, default, wanted in (
        ({}, MAX_LIMIT, [25000] * 5),
        ({"getblocks": 10, "getblocktxn": 20, "block": 0, "verylongname": 16385}, 100, [10, 20, 0, 16385, 100]),
        ({"block": 1 << 40}, 1, [1, 1, 25000, 1, 1]),
    ):
        control.set_limits(limits, default)
        read = reader(kernel, keep_bodies=True)
        players.run(path, "--wait-attached", "30", "--speed", "max", "--threads", "1", str(file))
        headers = read.drain()
        message = headers["probe"] != DESCRIBED
        assert headers["kept"][message].tolist() == wanted
        assert (headers["size"][message] == 25000).all()
        kept = [body for body, is_message in zip(read.bodies, message, strict=True) if is_message]
        assert kept == [payload[:n] for n in wanted]


def test_messages_sent_have_limits_of_their_own(load: Callable[..., Kernel], players: Any, reader: Any, tmp_path: Path) -> None:
    """The same type is cut differently by direction; a type without such a limit is cut alike."""
    kernel = load()
    path = players.copy()
    kernel.attach(path)
    calls = [
        (f"net:{direction}bound_message", (1, b"a", b"b", name, 1000, bytes(1000)))
        for name in (b"block", b"tx")
        for direction in ("in", "out")
    ]
    Control(kernel.fds["control"]).set_limits({"block": 500, "tx": 400}, 7, {"block": 80})
    read = reader(kernel)
    players.run(path, "--wait-attached", "30", "--speed", "max", "--threads", "1", str(play(tmp_path / "both", calls)))
    headers = read.drain()
    assert headers["kept"][headers["probe"] != DESCRIBED].tolist() == [500, 80, 400, 400]


@pytest.mark.parametrize("ring_bytes", [0, 1, 2048, 3 * 4096, (1 << 20) - 1, 1 << 32])
def test_impossible_rings_are_refused(ring_bytes: int) -> None:
    """The kernel takes powers of two of at least a page."""
    with pytest.raises(KernelError, match="power of two"):
        Kernel.load(ring_bytes=ring_bytes)


def test_refusals_of_the_kernel_are_told_apart() -> None:
    """Memory, rights, and anything else are named for what they are."""
    assert "make it smaller" in _why_not_loaded(OSError(errno.ENOMEM, "Cannot allocate memory"))
    assert "CAP_BPF and CAP_PERFMON" in _why_not_loaded(OSError(errno.EACCES, "Permission denied"))
    assert _why_not_loaded(OSError(errno.E2BIG, "Too big")) == "the kernel refused the BPF program: Too big"


def test_a_missing_or_broken_object_is_refused(tmp_path: Path) -> None:
    """Without the compiled program the error says how to get it; a file that is none is named."""
    with pytest.raises(KernelError, match="install clang"):
        Kernel.load(tmp_path / "missing")
    (tmp_path / "broken").write_bytes(OBJECT.read_bytes()[:1000])
    with pytest.raises(KernelError, match=r"broken is no BPF program") as raised:
        Kernel.load(tmp_path / "broken")
    assert "libbpf" in raised.value.log


def test_a_refused_program_comes_with_the_verifiers_reason(tmp_path: Path) -> None:
    """What the verifier says is in the error's log, for whoever looks into it."""
    (tmp_path / "closed").write_bytes(OBJECT.read_bytes().replace(b"Dual MIT/GPL", b"Proprietary!"))
    with pytest.raises(KernelError, match="the kernel refused the BPF program") as raised:
        Kernel.load(tmp_path / "closed")
    assert "cannot call GPL" in raised.value.log


def test_without_libbpf_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package to install is named."""
    monkeypatch.setattr(libbpf, "LIBRARY", "libbpf.so.of-no-version")
    libbpf._library.cache_clear()
    with pytest.raises(KernelError, match="apt install libbpf1"):
        Kernel.load()
    monkeypatch.undo()
    libbpf._library.cache_clear()


def test_no_program_has_a_stack_for_each_cpu(load: Callable[..., Kernel]) -> None:
    """The compiled programs use the kernel's stack: the one for each CPU, of Linux 6.13 and later, is not safe at a uprobe."""
    kernel = load()
    per_cpu_frame = bytes.fromhex("654c030c25")  # add %gs:…,%r9, as emit_private_frame_ptr in arch/x86/net/bpf_jit_comp.c
    for program in ("on_message", "on_event", "on_counted", "on_nothing"):
        code = ctypes.create_string_buffer(1 << 16)
        info = ctypes.create_string_buffer(struct.pack("<II8sIIQ", 0, 0, b"", len(code), 0, ctypes.addressof(code)), 256)
        request = struct.pack("<IIQ", kernel._object.program_fd(program), len(info), ctypes.addressof(info))
        assert ctypes.CDLL(None).syscall(321, 15, request, len(request)) == 0  # BPF_OBJ_GET_INFO_BY_FD
        length = struct.unpack_from("<I", info, 16)[0]
        assert 0 < length < len(code)
        assert per_cpu_frame not in code.raw[:length]


COMPILERS = sorted(path for path in Path("/usr/bin").glob("clang*") if re.fullmatch(r"clang(-\d+)?", path.name))


@pytest.mark.parametrize("compiler", COMPILERS, ids=lambda path: path.name)
def test_every_installed_compiler_makes_a_program_that_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiler: Path
) -> None:
    """What the verifier accepts does not depend on how a version of clang arranges the code."""
    monkeypatch.setenv("BPF_CLANG", str(compiler))
    shutil.copy(OBJECT.with_name("trace.bpf.c"), tmp_path)
    compiled = runpy.run_path(str(OBJECT.parents[4] / "tools/build_bpf.py"))["compile_bpf"](tmp_path)
    assert compiled == tmp_path / "trace.bpf.o"
    Kernel.load(compiled, ring_bytes=4096).close()
