"""What `peerwatch doctor` knows about tracing on this machine: facts, each with what to do about it. Nothing here prints."""

from __future__ import annotations

import ctypes
import os
import platform
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from peerwatch.sources.usdt import kernel as kernel_module
from peerwatch.sources.usdt.binary import opened
from peerwatch.sources.usdt.discover import Scanner, Wanted, described, usual_binaries
from peerwatch.sources.usdt.elf_notes import ElfError
from peerwatch.sources.usdt.kernel import OBJECT, RING_BYTES, UPROBE_MULTI, Kernel, KernelError
from peerwatch.sources.usdt.privileges import Account, namespaces_allowed, rights
from peerwatch.sources.usdt.processes import shown
from peerwatch.sources.usdt.seccomp import AVAILABLE

OLDEST_KERNEL = (6, 1)
MULTI_KERNEL = (6, 6)
"""First release with multi-uprobe links."""
INITIAL_PID_NAMESPACE = "pid:[4026531836]"
"""PROC_PID_INIT_INO, include/linux/proc_ns.h."""


class State(StrEnum):
    """How a fact bears on tracing."""

    OK = "ok"
    WARNING = "warning"
    """Works with a limitation, or should be otherwise."""
    FAILED = "failed"
    """Tracing does not work."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that was looked at: what it is, what was found, and, unless it is fine, what to do, in a line."""

    name: str
    state: State
    found: str
    advice: str = ""


def diagnose(wanted: Sequence[Wanted] = (), account: Account | None = None, ring_bytes: int = RING_BYTES) -> list[Fact]:
    """All facts, those about the machine first. `account` is whom the watcher would run as (None: this user)."""
    loaded, tracing = _tracing()
    try:
        return [
            _kernel(),
            _preemption(),
            _libbpf(),
            _object(),
            _capabilities(),
            tracing,
            _unprivileged_bpf(),
            _call_filter(),
            _namespaces(account),
            _process_ids(),
            _memory(ring_bytes),
            _code(account),
            *_nodes(wanted, loaded),
        ]
    finally:
        if loaded:
            loaded.close()


def _kernel() -> Fact:
    release, machine = platform.release(), platform.machine()
    found = f"Linux {release} on {machine}"
    if machine != "x86_64":
        return Fact("kernel", State.FAILED, found, "tracing reads registers of x86_64 only: use the capture source here")
    version = tuple(int(part) for part in release.split("-")[0].split(".")[:2])
    if version < OLDEST_KERNEL:
        return Fact("kernel", State.FAILED, found, "tracing needs Linux 6.1 or later")
    if version < MULTI_KERNEL:
        return Fact(
            "kernel", State.WARNING, found, "below Linux 6.6 the tracer must be root: attaching takes CAP_SYS_ADMIN there"
        )
    return Fact("kernel", State.OK, found)


def _preemption() -> Fact:
    """For measurements: under full preemption a probe can be interrupted by another thread's."""
    chosen = _read("/sys/kernel/debug/sched/preempt")
    model = next((word.strip("()") for word in chosen.split() if word.startswith("(")), "")
    if not model:
        words = platform.version().split()
        model = next((word for word in ("PREEMPT_RT", "PREEMPT_DYNAMIC", "PREEMPT") if word in words), "none")
    return Fact("preemption", State.OK, model)


def _libbpf() -> Fact:
    try:
        library = ctypes.CDLL("libbpf.so.1")
        library.libbpf_version_string.restype = ctypes.c_char_p
        version = library.libbpf_version_string().decode("ascii", "replace")
    except (OSError, AttributeError):
        return Fact("libbpf", State.FAILED, "not found", "install it: apt install libbpf1")
    return Fact("libbpf", State.OK, version)


def _object() -> Fact:
    if not OBJECT.exists():
        return Fact("program", State.FAILED, "not built", "install clang and libbpf-dev, then install peerwatch again")
    return Fact("program", State.OK, f"{OBJECT.stat().st_size} bytes")


def _capabilities() -> Fact:
    mine = rights()
    found = ", ".join(mine.names()) or "none"
    if len(mine.names()) > 8:  # noqa: PLR2004 - a list of forty helps nobody
        found = f"{len(mine.names())} of them, " + (
            "bpf and perfmon too" if mine.has("bpf") and mine.has("perfmon") else "without bpf"
        )
    if mine.has("sys_admin") or (mine.has("bpf") and mine.has("perfmon")):
        return Fact("capabilities", State.OK, found)
    return Fact("capabilities", State.FAILED, found, "run with sudo, or as a service with CAP_BPF and CAP_PERFMON")


def _tracing() -> tuple[Kernel | None, Fact]:
    """Load the program for real, with the smallest ring."""
    try:
        loaded = Kernel.load(ring_bytes=os.sysconf("SC_PAGESIZE"))
    except KernelError as error:
        return None, Fact("loading", State.FAILED, "refused", str(error))
    if loaded.attach_method != UPROBE_MULTI and not rights().has("sys_admin"):
        return loaded, Fact("loading", State.FAILED, loaded.attach_method, "without multi-uprobe links, run it as root")
    return loaded, Fact("loading", State.OK, f"attaches by {loaded.attach_method}")


def _unprivileged_bpf() -> Fact:
    value = _read("/proc/sys/kernel/unprivileged_bpf_disabled")
    if value == "0":
        return Fact("bpf(2)", State.WARNING, "open to every user", "set kernel.unprivileged_bpf_disabled=2 with sysctl")
    return Fact("bpf(2)", State.OK, "closed to users without CAP_BPF" if value else "not told")


def _call_filter() -> Fact:
    if AVAILABLE and "errno" in _read("/proc/sys/kernel/seccomp/actions_avail").split():
        return Fact("call filter", State.OK, "available")
    return Fact(
        "call filter", State.WARNING, "not available", "the watcher runs without rights, but without a system call filter"
    )


def _namespaces(account: Account | None) -> Fact:
    """Only a watcher of the same user needs one, to empty its bounding set."""
    if account is not None or rights().has("setpcap"):
        return Fact("user namespaces", State.OK, "not needed")
    if namespaces_allowed():
        return Fact("user namespaces", State.OK, "allowed")
    advice = "the watcher's bounding set stays as it is, which gives it no rights; to empty it, start peerwatch as root"
    return Fact("user namespaces", State.WARNING, "not allowed", advice)


def _process_ids() -> Fact:
    try:
        namespace = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - it is no path
    except OSError:
        namespace = ""
    if namespace != INITIAL_PID_NAMESPACE:
        return Fact("process ids", State.FAILED, "a container's own", "run it outside of the container, or with --pid=host")
    hidden = not Path("/proc/1/stat").exists()
    if hidden:
        return Fact(
            "process ids", State.FAILED, "of other users are hidden", "drop hidepid= of /proc, or ProtectProc= of the service"
        )
    return Fact("process ids", State.OK, "those of the machine")


def _memory(ring_bytes: int) -> Fact:
    """The ring is locked in memory; since Linux 5.11 it counts as the service's memory and not against `ulimit -l`."""
    fields = dict(line.split(":", 1) for line in _read("/proc/meminfo").splitlines() if ":" in line)
    free_mib = int(fields.get("MemAvailable", "0").split()[0]) >> 10
    found = f"{free_mib} MiB available, {ring_bytes >> 20} MiB of it for the ring"
    if free_mib < 2 * ring_bytes >> 20:
        return Fact("memory", State.WARNING, found, "make the ring smaller: ring_mib in the configuration")
    return Fact("memory", State.OK, found)


def _code(account: Account | None) -> Fact:
    """Whoever can write the code of the tracer has its rights at the next start."""
    uid = account.uid if account else os.geteuid()
    groups = {account.gid, *account.groups} if account else {os.getegid(), *os.getgroups()}
    if uid == 0:
        return Fact("code", State.OK, "root's")
    writable = next((path for path in _code_files() if _may_write(path, uid, groups)), None)
    if writable:
        found = f"the watcher's user can write {shown(str(writable))}"
        return Fact("code", State.WARNING, found, "install peerwatch where only root can write, or set another `user =`")
    return Fact("code", State.OK, "the watcher's user cannot write it")


def _code_files() -> Iterator[Path]:
    """Everything that decides what the tracer runs: interpreter, package, import path, and all folders above."""
    package = Path(kernel_module.__file__).parents[2]
    starts = [Path(sys.executable).resolve(), package, *(Path(entry).resolve() for entry in sys.path if entry)]
    yield from dict.fromkeys(place for start in starts for place in (start, *start.parents))
    yield from package.rglob("*")


def _may_write(path: Path, uid: int, groups: set[int]) -> bool:
    try:
        status = path.lstat()
    except OSError:
        return False
    if stat.S_ISLNK(status.st_mode):
        return False
    mode = status.st_mode
    by_others = bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX
    return status.st_uid == uid or (status.st_gid in groups and bool(mode & stat.S_IWGRP)) or by_others


def _nodes(wanted: Sequence[Wanted], loaded: Kernel | None) -> Iterator[Fact]:
    """Nodes that run, and binaries that would be attached before they do."""
    found = Scanner(wanted).scan()
    running = [described(wanted, node.facts) for node in found]
    for node, configured in zip(found, running, strict=True):
        name = configured.name if configured else "a node"
        yield _binary(f"{name}, process {node.facts.pid}", node.path, loaded)
    for missing in (node for node in wanted if node not in running):
        if missing.binary and Path(missing.binary).exists():
            yield _binary(f"{missing.name}, not running", missing.binary, loaded)
        elif missing.binary:
            yield Fact(missing.name, State.WARNING, f"there is no {shown(missing.binary)}", "correct `binary =`, or install it")
        else:
            yield Fact(missing.name, State.WARNING, "not running, or without tracepoints", "start it, or correct its description")
    if not found and not wanted:
        advice = "start one that is built with tracepoints (cmake -DWITH_USDT=ON), or name its binary in the configuration"
        yield Fact("nodes", State.WARNING, "none with tracepoints runs", advice)
        for path in usual_binaries():
            yield _binary(shown(path), path, loaded)


def _binary(name: str, path: str, loaded: Kernel | None) -> Fact:
    """What can be traced of a binary; attached for real, to a program that does nothing, where we may."""
    try:
        with opened(path) as (_, binary):
            pass
        if loaded and binary.sites:
            loaded.detach(loaded.attach(path, noop=True))
    except (OSError, ElfError, KernelError) as error:
        text = f"cannot read it: {error.strerror}" if isinstance(error, OSError) else str(error)
        return Fact(name, State.FAILED, "cannot be traced", shown(text))
    if not binary.sites:
        return Fact(name, State.FAILED, "no tracepoints", "use a build with tracepoints (cmake -DWITH_USDT=ON)")
    found = f"{len(binary.attached)} probes"
    if not binary.blind:
        return Fact(name, State.OK, found)
    unseen = "; ".join(f"{probe} ({why})" for probe, why in binary.blind.items())
    advice = "use a release of Bitcoin Core that has them; until then, what they would show is not seen"
    return Fact(name, State.WARNING, f"{found}, without {shown(unseen)}", advice)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
