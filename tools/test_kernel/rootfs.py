"""The guest's system: a minimal Debian with the Python packages of the project, made once and kept in the cache folder."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tomllib
from pathlib import Path

from tools.test_kernel.debian import SUITE, bootstrap, inside
from tools.test_kernel.steps import Stamp, run, step

PYTHON = "3.11"
"""The Python of `SUITE`."""

PACKAGES = ("binutils", "iproute2", "libbpf1", "procps", "python3", "util-linux")
"""Debian packages beyond the minimal system: what peerwatch and its tests need at run time (binutils: `readelf`)."""

PLATFORMS = (*(f"manylinux_2_{minor}_x86_64" for minor in (34, 31, 28, 27, 24, 17)), "manylinux2014_x86_64")
"""Wheel platforms that the C library of `SUITE` (2.36) runs; pip does not derive the older ones from the newest."""

HOST_ONLY = ("import-linter", "mypy", "ruff")
"""Development dependencies, by the beginning of their names, that no test in the guest needs."""

LOCK = "requirements.lock"
"""The versions that everybody tests."""

SITE = "opt/site-packages"
"""Where the guest has its Python packages."""

INIT = Path(__file__).parent / "guest/init"
SPARE = 1 << 30
"""Bytes left free on the system's disk for what tests write."""

JOURNAL = 32 << 20
"""Bytes that the journal of a small file system takes at most."""


def requirements(root: Path) -> list[str]:
    """Return what the project in `root` and its tests depend on, as `pyproject.toml` declares it."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    development: list[str] = project["optional-dependencies"]["dev"]
    return [*project["dependencies"], *(name for name in development if not name.startswith(HOST_ONLY))]


def make_image(cache: Path, root: Path) -> Path:
    """Make the disk image of the guest in `cache` unless it is there and made by the same recipe; return its file.

    Args:
        cache: Folder that outlives the run.
        root: The repository, whose dependencies are installed. The repository itself is on a disk of its own.

    Raises:
        StepError: debootstrap, pip or mke2fs failed.
    """
    tree, image = cache / "guest", cache / "guest.ext4"
    wanted, lock = requirements(root), root / LOCK
    system = Stamp(cache / "guest.stamp", json.dumps([SUITE, PACKAGES]))
    if not system.fresh():
        system.clear()
        with step(f"guest with Debian {SUITE} (debootstrap)"):
            bootstrap(tree, PACKAGES, cache / "logs/guest.log")
            inside(tree, "apt-get", "clean", log=cache / "logs/guest.log")
        system.set()
    whole = Stamp(cache / "image.stamp", json.dumps([SUITE, PACKAGES, wanted, lock.read_text(), INIT.read_text()]))
    if not whole.fresh():
        whole.clear()
        with step("Python packages (pip)"):
            install_wheels(tree, wanted, lock, cache / "logs/pip.log")
        with step("disk image (mke2fs)"):
            shutil.copy2(INIT, tree / "sbin/guest-init")
            write_image(tree, image, spare=SPARE, log=cache / "logs/mke2fs.log")
        whole.set()
    return image


def install_wheels(tree: Path, wanted: list[str], lock: Path, log: Path) -> None:
    """Install wheels for the guest's Python into `tree`, compiled to byte code by it: emulated start-ups are slow enough.

    The host's Python may be another version: pip is told which one the wheels are for.

    Raises:
        StepError: pip failed.
    """
    site = tree / SITE
    shutil.rmtree(site, ignore_errors=True)
    site.mkdir(parents=True)
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-compile", "--only-binary=:all:"]
    guest = ["--implementation=cp", f"--python-version={PYTHON}", *(f"--platform={name}" for name in PLATFORMS)]
    run(*pip, *guest, f"--target={site}", f"--constraint={lock}", *wanted, log=log)
    inside(tree, f"python{PYTHON}", "-m", "compileall", "-q", "-j", str(os.cpu_count() or 1), f"/{SITE}", log=log)


def write_image(tree: Path, image: Path, *, spare: int, log: Path) -> None:
    """Write an ext4 image with the content of `tree` and `spare` bytes free, without mounting anything.

    Raises:
        StepError: mke2fs failed.
    """
    used = sum(entry.lstat().st_blocks * 512 for entry in tree.rglob("*"))
    image.unlink(missing_ok=True)
    size = (used + spare) * 11 // 10 + JOURNAL  # a tenth for inode tables and the like; the file is sparse
    run("mke2fs", "-q", "-t", "ext4", "-m", "0", "-d", tree, image, f"{size >> 10}k", log=log)
