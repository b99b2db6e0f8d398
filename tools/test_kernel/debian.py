"""Debian systems in a folder, and apt inside them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from tools.test_kernel.steps import run

SUITE = "bookworm"
"""The Debian release of all systems made here: its Python and libbpf are those of the oldest system supported."""


def bootstrap(tree: Path, packages: Iterable[str], log: Path) -> None:
    """Make a minimal system with some packages in `tree`, in place of what is there.

    Raises:
        StepError: debootstrap failed.
    """
    shutil.rmtree(tree, ignore_errors=True)
    run("debootstrap", "--variant=minbase", f"--include={','.join(packages)}", SUITE, tree, log=log)


def inside(tree: Path, *command: str, log: Path) -> None:
    """Run a command in the system at `tree`.

    Raises:
        StepError: It failed.
    """
    run("chroot", tree, *command, log=log, environment={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"})


def add_suite(tree: Path, suite: str, log: Path) -> None:
    """Let apt in the system at `tree` know another suite, from the mirror that the system was made from.

    Raises:
        StepError: The mirror cannot be reached or does not have the suite.
    """
    sources = (tree / "etc/apt/sources.list").read_text()
    (tree / f"etc/apt/sources.list.d/{suite}.list").write_text(sources.replace(f" {SUITE} ", f" {suite} "))
    inside(tree, "apt-get", "-q", "update", log=log)


def install(tree: Path, suite: str, *options: str, log: Path) -> None:
    """Let apt in the system at `tree` install packages of a suite, with nothing that is only recommended.

    Raises:
        StepError: It failed.
    """
    inside(tree, "apt-get", "-q", "-y", "install", "--no-install-recommends", f"--target-release={suite}", *options, log=log)
