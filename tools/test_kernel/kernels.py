"""Kernels as Debian ships them, each with an initrd that holds just the drivers of the guest's disks."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tools.test_kernel.rootfs import INITRD_MODULES, SUITE, make_tree
from tools.test_kernel.steps import Stamp, StepError, run, step

SUITES = ("bookworm", "bookworm-backports", "trixie-backports")
"""Debian suites whose kernel is tested: below 6.6 (no BPF_TRACE_UPROBE_MULTI), the first with it, the newest packaged."""

PACKAGE = "linux-image-amd64"


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel that can be booted."""

    suite: str
    release: str
    image: Path
    initrd: Path


def make_kernel(cache: Path, suite: str) -> Kernel:
    """Take the kernel of a Debian suite into `cache` unless it is there.

    Raises:
        StepError: The suite cannot be had, or has no such kernel.
    """
    folder = cache / "kernels" / suite
    stamp = Stamp(folder / "stamp", f"{PACKAGE} {INITRD_MODULES}")
    if not stamp.fresh():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        tree = make_tree(cache)
        log = cache / f"logs/kernel-{suite}.log"
        with step(f"kernel of {suite} (apt)"):
            _download(tree, suite, log)
            _unpack(tree, folder, log)
        stamp.set()
    return Kernel(suite, (folder / "release").read_text(), folder / "vmlinuz", folder / "initrd")


def _download(tree: Path, suite: str, log: Path) -> None:
    """Let the guest's own apt, through the mirror it was made from, fetch the packages of the suite's kernel."""
    sources = (tree / "etc/apt/sources.list").read_text()
    (tree / "etc/apt/sources.list.d/kernel.list").write_text(sources.replace(f" {SUITE} ", f" {suite} "))
    apt = ("chroot", tree, "apt-get", "-q", "-y")
    run(*apt, "clean", log=log)
    run(*apt, "update", log=log)
    run(*apt, "install", "--download-only", "--no-install-recommends", f"--target-release={suite}", PACKAGE, log=log)


def _unpack(tree: Path, folder: Path, log: Path) -> None:
    """Take kernel and modules out of the packages and make the initrd.

    The packages are unpacked and not installed: their scripts may want a newer system than the guest's.
    """
    work = tree / "kernel"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    for package in sorted((tree / "var/cache/apt/archives").glob("linux-*.deb")):
        run("chroot", tree, "dpkg-deb", "-x", f"/var/cache/apt/archives/{package.name}", "/kernel", log=log)
    found = [path for path in (*work.glob("lib/modules/*"), *work.glob("usr/lib/modules/*")) if (path / "kernel").is_dir()]
    if len(found) != 1:
        raise StepError(f"{PACKAGE} was expected to bring one kernel, not {[path.name for path in found]}; see {log}")
    source = found[0]
    release = source.name
    modules, configuration = tree / "usr/lib/modules" / release, tree / "boot" / f"config-{release}"
    shutil.rmtree(modules, ignore_errors=True)
    modules.parent.mkdir(exist_ok=True)
    source.rename(modules)
    shutil.copy2(_either(work / f"boot/vmlinuz-{release}", modules / "vmlinuz"), folder / "vmlinuz")
    shutil.copy2(_either(work / f"boot/config-{release}", modules / "config"), configuration)
    run("chroot", tree, "depmod", release, log=log)
    run("chroot", tree, "mkinitramfs", "-o", "/kernel/initrd", release, log=log)
    shutil.copy2(work / "initrd", folder / "initrd")
    (folder / "release").write_text(release)
    # The initrd has the drivers needed; the rest would only make the guest's disk bigger.
    for leftover in (work, modules):
        shutil.rmtree(leftover)
    configuration.unlink()
    run("chroot", tree, "apt-get", "clean", log=log)


def _either(first: Path, second: Path) -> Path:
    """Return the first of two places that exists: Debian moved the kernel from /boot to its modules' folder."""
    return first if first.exists() else second
