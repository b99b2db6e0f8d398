"""The privileged half: load the BPF programs, attach them to binaries, say which processes are ours.

Two ways of attaching. One multi-uprobe link for many probes needs CAP_BPF and CAP_PERFMON, and Linux 6.6; the perf uprobe PMU
works on any kernel, and needs CAP_SYS_ADMIN since the fix of CVE-2025-38466. The first is used where the kernel has it. Both
attach to a file, so a process started later is traced from its first tracepoint. The file is opened once and attached through
its descriptor, so that what was examined is what gets breakpoints.
"""

from __future__ import annotations

import errno
import os
import platform
from pathlib import Path
from typing import Self

from peerwatch.sources.usdt import libbpf
from peerwatch.sources.usdt.binary import Binary, Site, opened
from peerwatch.sources.usdt.elf_notes import ElfError
from peerwatch.sources.usdt.probes import PROBES, Kind
from peerwatch.sources.usdt.slots import Control

OBJECT = Path(__file__).with_name("trace.bpf.o")
"""The compiled BPF program."""
RING_BYTES = 256 << 20
"""Default size of the ring: holds a 5 s stall of the reader at 100 k messages a second."""
MAX_RING_BYTES = 1 << 31
MAX_SPECS = 1024
"""Probe sites of all attached binaries together."""
OLDEST_KERNEL = (6, 1)
UPROBE_MULTI = "multi-uprobe link"
UPROBE_PERF = "perf uprobes"

_PROGRAMS = ("on_message", "on_event", "on_counted", "on_nothing")
_NO_PERMISSION = {errno.EPERM, errno.EACCES}
_IGNORED = b"\xff" * 4  # in place of a slot: not ours
_Link = libbpf.MultiLink | libbpf.PerfLink


class KernelError(RuntimeError):
    """Loading or attaching failed; the text says what to do. `log` is what libbpf and the verifier said."""

    def __init__(self, text: str, log: str = "") -> None:
        """Keep both."""
        super().__init__(text)
        self.log = log


def kernel_release() -> tuple[int, int]:
    """Version of the running kernel, as far as it matters."""
    major, minor = platform.release().split("-")[0].split(".")[:2]
    return int(major), int(minor)


class Kernel:
    """Loaded programs and their maps; made by `load`.

    `fds` has the descriptors of the maps that a reader maps: `ring`, `slots`, `control`. They live as long as this does, or any
    process that got them.
    """

    def __init__(self, loaded: libbpf.Object, attach_method: str, ring_bytes: int) -> None:
        """Take over a loaded object."""
        self.attach_method = attach_method
        self.ring_bytes = ring_bytes
        self.fds = {name: loaded.map_fd(name) for name in ("ring", "slots", "control")}
        self._object = loaded
        self._specs = loaded.map_fd("specs")
        self._procs = loaded.map_fd("procs")
        self._free = list(range(MAX_SPECS))
        self._attached: dict[Binary, tuple[list[_Link], list[int]]] = {}
        libbpf.map_freeze(self.fds["slots"])
        control = Control(self.fds["control"])
        control.set_limits({})
        control.ring_id = int.from_bytes(os.urandom(7), "little")

    @classmethod
    def load(cls, path: Path = OBJECT, ring_bytes: int = RING_BYTES, attach_method: str | None = None) -> Self:
        """Load the programs of an object file with a ring of `ring_bytes` (a power of two from a page to 2 GiB).

        `attach_method` forces one of the ways of attaching; by default the kernel is asked. Raises `KernelError`.
        """
        if ring_bytes & (ring_bytes - 1) or not os.sysconf("SC_PAGESIZE") <= ring_bytes <= MAX_RING_BYTES:
            raise KernelError(f"the ring must have a power of two of bytes, from a page to 2 GiB, not {ring_bytes}")
        if not path.exists():
            raise KernelError("the BPF program was not built: install clang and libbpf-dev, then install peerwatch again")
        if attach_method != UPROBE_PERF:
            loaded = _load(path, ring_bytes, libbpf.TRACE_UPROBE_MULTI)
            if attach_method == UPROBE_MULTI or libbpf.has_uprobe_multi(loaded.program_fd("on_nothing")):
                return cls(loaded, UPROBE_MULTI, ring_bytes)
            loaded.close()
        return cls(_load(path, ring_bytes, 0), UPROBE_PERF, ring_bytes)

    def attach(self, path: str | Path, *, noop: bool = False) -> Binary:
        """Trace all present and future processes of a binary; `noop` attaches a program that does nothing, for benchmarks.

        A binary with none of the probes is no error: the answer has no sites. Raises `KernelError`, also for a file that is
        attached already, under whatever path: each of its records would come twice.
        """
        try:
            with opened(path) as (fd, binary):
                for other in self._attached:
                    if (other.device, other.inode) == (binary.device, binary.inode):
                        raise KernelError(f"{path} is traced already, as {other.path}")
                self._attached[binary] = self._link(f"/proc/self/fd/{fd}", binary, noop=noop)
        except OSError as error:
            raise KernelError(f"cannot read {path}: {error.strerror}") from error
        except ElfError as error:
            raise KernelError(f"cannot trace {path}: {error}") from error
        return binary

    def detach(self, binary: Binary) -> None:
        """Stop tracing what `attach` returned; its processes go on undisturbed. Unknown or detached binaries are ignored."""
        self._give_back(*self._attached.pop(binary, ([], [])))

    def slot_of(self, tgid: int) -> int | None:
        """The slot of a process; None if no probe of it was hit yet, or it is ignored."""
        found = libbpf.map_lookup(self._procs, _u32(tgid), 4)
        return None if found in {None, _IGNORED} else int.from_bytes(found or b"", "little")

    def ignore(self, tgid: int) -> None:
        """Record and count nothing of a process from now on."""
        libbpf.map_update(self._procs, _u32(tgid), _IGNORED)

    def forget(self, tgid: int) -> None:
        """A process has ended: if its number comes back it is another one, with a slot of its own."""
        libbpf.map_delete(self._procs, _u32(tgid))

    def close(self) -> None:
        """Detach and unload; may be called twice."""
        for binary in list(self._attached):
            self.detach(binary)
        self._object.close()

    def _link(self, path: str, binary: Binary, *, noop: bool) -> tuple[list[_Link], list[int]]:
        """Attach every site; the links, and the places in the `specs` map, which are the sites' cookies."""
        if len(binary.sites) > len(self._free):
            raise KernelError(f"cannot trace {binary.path}: {len(binary.sites)} more probe sites are too many")
        cookies = [self._free.pop() for _ in binary.sites]
        links: list[_Link] = []
        programs: dict[str, list[tuple[int, int, int]]] = {}
        try:
            for cookie, site in zip(cookies, binary.sites, strict=True):
                libbpf.map_update(self._specs, _u32(cookie), site.spec.tobytes())
                name = "on_nothing" if noop else _program(site)
                programs.setdefault(name, []).append((site.note.location, site.note.semaphore, cookie))
            # One after the other: messages last, so that whoever sends the first one seen was already seen to connect.
            for name, places in sorted(programs.items(), key=lambda program: program[0] == "on_message"):
                if self.attach_method == UPROBE_MULTI:
                    links.append(libbpf.link_uprobes(self._object.program_fd(name), path, *zip(*places, strict=True)))
                else:
                    for place in places:
                        links.append(self._object.attach_uprobe(name, path, *place))  # noqa: PERF401 - keeps those made before a failure
        except OSError as error:
            self._give_back(links, cookies)
            raise KernelError(f"cannot trace {binary.path}: {self._why_not_attached(error)}", libbpf.take_printed()) from error
        return links, cookies

    def _give_back(self, links: list[_Link], cookies: list[int]) -> None:
        for link in links:  # closing one waits until no probe runs any more, so its cookie can be used again
            link.close()
        self._free += cookies

    def _why_not_attached(self, error: OSError) -> str:
        if error.errno not in _NO_PERMISSION:
            return f"{error.strerror} ({self.attach_method})"
        if self.attach_method == UPROBE_MULTI:
            return "no permission: run as root, or with CAP_BPF and CAP_PERFMON"
        return "no permission: run as root (without CAP_SYS_ADMIN, tracing needs Linux 6.6 or later)"


def _program(site: Site) -> str:
    probe = PROBES[site.probe]
    if probe.counted:
        return "on_counted"
    return "on_message" if probe.args[-1].kind is Kind.PAYLOAD else "on_event"


def _load(path: Path, ring_bytes: int, attach_type: int) -> libbpf.Object:
    try:
        loaded = libbpf.Object(str(path))
    except libbpf.LibbpfMissingError as error:
        raise KernelError("libbpf 1.x is missing: apt install libbpf1") from error
    except OSError as error:
        raise KernelError(f"{path} is no BPF program: {error.strerror}", libbpf.take_printed()) from error
    try:
        loaded.set_max_entries("ring", ring_bytes)
        for program in _PROGRAMS:
            loaded.set_attach_type(program, attach_type)
        loaded.load()
    except OSError as error:
        log = libbpf.take_printed()
        loaded.close()
        raise KernelError(_why_not_loaded(error), log) from error
    return loaded


def _why_not_loaded(error: OSError) -> str:
    if kernel_release() < OLDEST_KERNEL:
        return f"Linux {platform.release()} is too old to trace: 6.1 or later is needed"
    if error.errno in _NO_PERMISSION:
        return "no permission to load BPF programs: run as root, or with CAP_BPF and CAP_PERFMON"
    if error.errno == errno.ENOMEM:
        return "no memory for the ring: make it smaller"
    return f"the kernel refused the BPF program: {error.strerror}"


def _u32(value: int) -> bytes:
    return value.to_bytes(4, "little")
