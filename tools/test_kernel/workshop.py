"""A Debian system of its own for making initrds, and with the emulator, whatever the host has of both."""

from __future__ import annotations

import json
from pathlib import Path

from tools.test_kernel.debian import SUITE, add_suite, bootstrap, inside, install
from tools.test_kernel.steps import Stamp, step

PACKAGES = ("initramfs-tools", "kmod", "zstd")

EMULATOR = "qemu-system-x86"
EMULATOR_SUITE = "bookworm-backports"
"""qemu 10. The one of bookworm (7.2) computes AVX2 wrongly, which DuckDB needs and NumPy uses: `numpy.argsort` of 250,000 random
integers left 900 out of order."""

INITRD_MODULES = ("virtio_pci", "virtio_blk", "ext4")
"""All that mounting the disks takes: unpacking an initrd with every driver is slow under emulation."""

LIBRARIES = "usr/lib/x86_64-linux-gnu"


def make_workshop(cache: Path) -> Path:
    """Make the workshop in `cache` unless it is there; return its folder.

    Raises:
        StepError: debootstrap or apt failed.
    """
    tree = cache / "workshop"
    stamp = Stamp(cache / "workshop.stamp", json.dumps([SUITE, PACKAGES, EMULATOR, EMULATOR_SUITE, INITRD_MODULES]))
    if not stamp.fresh():
        stamp.clear()
        log = cache / "logs/workshop.log"
        with step("workshop with emulator (debootstrap, apt)"):
            bootstrap(tree, PACKAGES, log)
            (tree / "etc/initramfs-tools/conf.d/guest").write_text("MODULES=list\nCOMPRESS=zstd\n")
            (tree / "etc/initramfs-tools/modules").write_text("".join(f"{name}\n" for name in INITRD_MODULES))
            add_suite(tree, EMULATOR_SUITE, log)
            install(tree, EMULATOR_SUITE, EMULATOR, log=log)
            inside(tree, "apt-get", "clean", log=log)
        stamp.set()
    return tree


def emulator(tree: Path) -> tuple[list[str], dict[str, str]]:
    """Return how to run the workshop's qemu from outside: command and environment.

    It runs under the workshop's dynamic loader, so it needs nothing of the host and sees the host's files.
    """
    loader = [str(tree / LIBRARIES / "ld-linux-x86-64.so.2"), "--library-path", str(tree / LIBRARIES)]
    firmware = [option for name in ("qemu", "seabios") for option in ("-L", str(tree / "usr/share" / name))]
    return [*loader, str(tree / "usr/bin/qemu-system-x86_64"), *firmware], {"QEMU_MODULE_DIR": str(tree / LIBRARIES / "qemu")}
