"""Boots a kernel in a virtual machine and waits for it to switch itself off."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tools.test_kernel.kernels import Kernel
from tools.test_kernel.steps import StepError
from tools.test_kernel.workshop import emulator

COMMAND_LINE = "root=/dev/vda rw console=ttyS0 quiet oops=panic panic=-1 mitigations=off maxcpus=1 init=/sbin/guest-init"
"""A panic ends the machine at once. Without mitigations, which do not concern what is tested, emulation is faster. The first
process switches on the other CPUs: the kernel patches its own code while it boots, see `EMULATOR_FAULT`."""

EMULATOR_FAULT = re.compile(r"\bint3: 0000 \[#\d")
"""A breakpoint that the kernel set in its own code while patching it, and that a CPU met too late. Kernels synchronize the CPUs
so that this cannot happen; qemu's emulation does not always obey (qemu 7.2: 1 boot of 25; on one CPU, 0 of 25). Such a boot says
nothing about what is tested."""

PROCESSOR = {"tcg": "Haswell-noTSX", "kvm": "host"}
"""CPU by accelerator. The emulated one has AVX2, which DuckDB needs, and is Intel's: Linux trusts no other's clock that much."""

ATTEMPTS = 3
"""Boots tried before such a fault counts."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A virtual machine: two disks, no network, a serial port for the console and one for results."""

    workshop: Path
    system: Path
    payload: Path
    accelerator: str
    preemption: str
    processors: int = 2
    memory: int = 3072
    """MiB."""

    def boot(self, kernel: Kernel, *, console: Path, results: Path, limit: float) -> bool:
        """Boot `kernel` and wait for the end; nothing that the guest writes to its disks is kept.

        Args:
            kernel: What to boot.
            console: File that receives the first serial port.
            results: File that receives the second serial port.
            limit: Seconds after which the machine is switched off.

        Returns:
            Whether it ended by itself within the limit.

        Raises:
            StepError: The machine could not be started.
        """
        for _ in range(ATTEMPTS):
            ended = self._run(kernel, console, results, limit)
            if not EMULATOR_FAULT.search(console.read_text(errors="replace")):
                break
            print(" the emulator failed, once more ...", end="", flush=True)
        return ended

    def _run(self, kernel: Kernel, console: Path, results: Path, limit: float) -> bool:
        for file in (console, results):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"")
        system, payload = (f"file={path},if=virtio,format=raw,snapshot=on" for path in (self.system, self.payload))
        command, environment = emulator(self.workshop)
        # fmt: off
        command += [
            "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
            "-machine", f"accel={self.accelerator}", "-cpu", PROCESSOR[self.accelerator],
            "-smp", str(self.processors), "-m", str(self.memory),
            "-kernel", str(kernel.image), "-initrd", str(kernel.initrd), "-append", f"{COMMAND_LINE} preempt={self.preemption}",
            "-drive", system, "-drive", payload, "-serial", f"file:{console}", "-serial", f"file:{results}",
        ]
        # fmt: on
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=limit, env=environment
            )
        except subprocess.TimeoutExpired:
            return False
        if done.returncode:
            raise StepError(f"qemu failed with status {done.returncode}: {done.stderr.strip()}")
        return True
