"""What the tests that attach to the running kernel share: a loaded kernel, players of their own for each test, and a reader."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peerwatch.schema.batch import Array
from peerwatch.sources.usdt.kernel import Kernel
from peerwatch.sources.usdt.probes import HEADER
from peerwatch.sources.usdt.ring import Ring
from peerwatch.sources.usdt.slots import Slots

BUILT = Path(__file__).parents[2] / "build/player"


@pytest.fixture(scope="session", autouse=True)
def _may_trace() -> None:
    if os.geteuid() != 0:
        pytest.skip("attaching to the kernel needs root")


@pytest.fixture
def load() -> Iterator[Callable[..., Kernel]]:
    """Loads the BPF program as often as wanted; everything is unloaded after the test."""
    loaded: list[Kernel] = []

    def load_one(ring_bytes: int = 16 << 20, **options: Any) -> Kernel:
        loaded.append(Kernel.load(ring_bytes=ring_bytes, **options))
        return loaded[-1]

    yield load_one
    for kernel in loaded:
        kernel.close()


class Players:
    """Copies of the player under paths and inodes of their own, so that nobody else's player is traced."""

    def __init__(self, folder: Path) -> None:
        """Copy to `folder`."""
        self.folder = folder
        self.running: list[subprocess.Popen[str]] = []

    def copy(self, built: str = "peerwatch-player", name: str = "node") -> Path:
        """A copy of one of the built binaries."""
        return Path(shutil.copy2(BUILT / built, self.folder / name))

    def start(self, path: Path, *arguments: str, cpus: str = "", user: int | None = None) -> subprocess.Popen[str]:
        """Start one, on certain CPUs and as a certain user if wanted."""
        pin = ["taskset", "-c", cpus] if cpus else []
        process = subprocess.Popen([*pin, str(path), *arguments], stdout=subprocess.PIPE, text=True, user=user)
        self.running.append(process)
        return process

    def hold(self, path: Path, *arguments: str) -> subprocess.Popen[str]:
        """A process that becomes a player when a line is written to it: its number is known before it fires."""
        command = ["sh", "-c", 'read -r _ && exec "$@"', "sh", str(path), *arguments]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.running.append(process)
        return process

    def run(self, path: Path, *arguments: str) -> dict[str, Any]:
        """Start one, wait for its end, and give what it says it did."""
        return self.report(self.start(path, *arguments))

    def report(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        """What a player says that it did, when it has ended; one that was held goes first."""
        output, _ = process.communicate("\n" if process.stdin else None, timeout=120)
        assert process.returncode == 0
        result: dict[str, Any] = json.loads(output.splitlines()[-1])
        return result


@pytest.fixture
def players(tmp_path: Path) -> Iterator[Players]:
    """Players of this test; those still running are ended after it."""
    own = Players(tmp_path)
    yield own
    for process in own.running:
        process.kill()
        process.communicate()


@dataclass
class Reader:
    """Reads what there is, hands each batch to `check`, and publishes; keeps all headers, and the bodies if wanted."""

    kernel: Kernel
    check: Callable[[Array, Array, Array], None] | None = None
    keep_bodies: bool = False
    batches: list[Array] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Map the ring and the slots."""
        self.ring = Ring(self.kernel.fds["ring"], self.kernel.ring_bytes)
        self.slots = Slots(self.kernel.fds["slots"])

    @property
    def headers(self) -> Array:
        """Of all records so far."""
        return np.concatenate([np.zeros(0, HEADER), *self.batches])

    def read(self) -> int:
        """One batch; how many records it had."""
        buf, offsets, position = self.ring.read(8 << 20)
        headers = np.lib.stride_tricks.sliding_window_view(buf, HEADER.itemsize)[offsets].view(HEADER)[:, 0]
        if self.check and len(offsets):
            self.check(buf, offsets, headers)
        if self.keep_bodies:
            starts = offsets + HEADER.itemsize
            self.bodies += [bytes(buf[s : s + n]) for s, n in zip(starts.tolist(), headers["kept"].tolist(), strict=True)]
        self.batches.append(headers.copy())
        self.ring.publish(position)
        return len(offsets)

    def drain(self, process: subprocess.Popen[str] | None = None) -> Array:
        """Read until the process has ended and nothing is left; all headers so far."""
        while True:
            ended = process is None or process.poll() is not None
            if not self.read():
                if ended:
                    return self.headers
                time.sleep(0.001)


@pytest.fixture
def reader() -> type[Reader]:
    """The class, since tests cannot import from here."""
    return Reader
