"""Kernels as Debian ships them, each with an initrd that holds just the drivers of the guest's disks."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tools.test_kernel.debian import add_suite, inside, install
from tools.test_kernel.steps import Stamp, StepError, step
from tools.test_kernel.workshop import INITRD_MODULES

SUITES = ("bookworm", "bookworm-backports", "trixie-backports")
"""Debian suites whose kernel is tested: one below 6.6 (no BPF_TRACE_UPROBE_MULTI), one with it, and the newest."""

PACKAGE = "linux-image-amd64"


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel that can be booted."""

    suite: str
    release: str
    image: Path
    initrd: Path


def make_kernel(cache: Path, workshop: Path, suite: str) -> Kernel:
    """Take the kernel of a Debian suite into `cache` unless it is there.

    Raises:
        StepError: The suite cannot be had, or has no such kernel.
    """
    folder = cache / "kernels" / suite
    stamp = Stamp(folder / "stamp", f"{PACKAGE} {INITRD_MODULES}")
    if not stamp.fresh():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        log = cache / f"logs/kernel-{suite}.log"
        with step(f"kernel of {suite} (apt)"):
            add_suite(workshop, suite, log)
            inside(workshop, "apt-get", "clean", log=log)
            install(workshop, suite, "--download-only", PACKAGE, log=log)
            _unpack(workshop, folder, log)
            inside(workshop, "apt-get", "clean", log=log)
        stamp.set()
    return Kernel(suite, (folder / "release").read_text(), folder / "vmlinuz", folder / "initrd")


def _unpack(workshop: Path, folder: Path, log: Path) -> None:
    """Take the kernel out of its packages and make its initrd.

    They are unpacked and not installed: the scripts of a newer suite's kernel may want a newer system.
    """
    work = workshop / "kernel"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    for package in sorted((workshop / "var/cache/apt/archives").glob("linux-*.deb")):
        inside(workshop, "dpkg-deb", "-x", f"/var/cache/apt/archives/{package.name}", "/kernel", log=log)
    found = [path for path in (*work.glob("lib/modules/*"), *work.glob("usr/lib/modules/*")) if (path / "kernel").is_dir()]
    if len(found) != 1:
        raise StepError(f"{PACKAGE} was expected to bring one kernel, not {[path.name for path in found]}; see {log}")
    release = found[0].name
    modules, configuration = workshop / "usr/lib/modules" / release, workshop / f"boot/config-{release}"
    shutil.rmtree(modules, ignore_errors=True)
    modules.parent.mkdir(exist_ok=True)
    found[0].rename(modules)
    shutil.copy2(_either(work / f"boot/vmlinuz-{release}", modules / "vmlinuz"), folder / "vmlinuz")
    shutil.copy2(_either(work / f"boot/config-{release}", modules / "config"), configuration)
    inside(workshop, "depmod", release, log=log)
    inside(workshop, "mkinitramfs", "-o", "/kernel/initrd", release, log=log)
    shutil.copy2(work / "initrd", folder / "initrd")
    (folder / "release").write_text(release)
    for used in (work, modules):
        shutil.rmtree(used)
    configuration.unlink()


def _either(first: Path, second: Path) -> Path:
    """Return the first of two places that exists: Debian moved the kernel from /boot to its modules' folder."""
    return first if first.exists() else second
