"""Boots a kernel in a virtual machine and waits for it to switch itself off."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tools.test_kernel.kernels import Kernel
from tools.test_kernel.steps import StepError

COMMAND_LINE = "root=/dev/vda rw console=ttyS0 quiet panic=-1 mitigations=off maxcpus=1 init=/sbin/guest-init"
"""A panic ends the machine at once. Without mitigations, which do not concern what is tested, emulation is faster. The first
process switches on the other CPUs: the kernel patches its own code while it boots, see `EMULATOR_FAULT`."""

EMULATOR_FAULT = re.compile(r"\bint3: 0000 \[#\d")
"""A breakpoint that the kernel set in its own code while patching it, and that a CPU met too late. Kernels synchronize the CPUs
so that this cannot happen; qemu's emulation (7.2) does not always obey. Such a boot says nothing about what is tested."""

PROCESSOR = {"tcg": "Nehalem,+rdrand", "kvm": "host"}
"""CPU by accelerator. The emulated one has no AVX: NumPy sorts with AVX2 where it is, and qemu 7.2 emulates that wrongly
(argsort of 250,000 random uint64 left some hundred out of order). An Intel one, since the kernel trusts the clock of no other."""

ATTEMPTS = 3
"""Boots tried before such a fault counts."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A virtual machine: two disks, no network, a serial port for the console and one for results."""

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
            ended = self._run(self._command(kernel, console, results), console, results, limit)
            if not EMULATOR_FAULT.search(console.read_text(errors="replace")):
                break
            print(" the emulator failed, once more ...", end="", flush=True)
        return ended

    def _command(self, kernel: Kernel, console: Path, results: Path) -> list[str]:
        system, payload = (f"file={path},if=virtio,format=raw,snapshot=on" for path in (self.system, self.payload))
        # fmt: off
        return [
            "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
            "-machine", f"accel={self.accelerator}", "-cpu", PROCESSOR[self.accelerator], "-smp", str(self.processors), "-m", str(self.memory),
            "-kernel", str(kernel.image), "-initrd", str(kernel.initrd), "-append", f"{COMMAND_LINE} preempt={self.preemption}",
            "-drive", system, "-drive", payload, "-serial", f"file:{console}", "-serial", f"file:{results}",
        ]
        # fmt: on

    @staticmethod
    def _run(command: list[str], console: Path, results: Path, limit: float) -> bool:
        for file in (console, results):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"")
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=limit)
        except FileNotFoundError as error:
            raise StepError("there is no qemu-system-x86_64: see docs/kernels.md for the packages needed") from error
        except subprocess.TimeoutExpired:
            return False
        if done.returncode:
            raise StepError(f"qemu failed with status {done.returncode}: {done.stderr.strip()}")
        return True
