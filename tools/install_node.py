"""Install a Bitcoin node for the tests: Debian's Bitcoin Knots with all that it needs, in a folder of its own.

    python tools/install_node.py [FOLDER]

prints the folder, which is `peerwatch/node` in XDG_CACHE_HOME or /var/cache unless another one is given. It is made once, by
debootstrap, as root; one that is there is used as it is, and of several that ask at the same time one makes it.
docs/howto/real-node.md has more.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SUITE = "sid"
"""The one release of Debian that has the package."""
PACKAGE = "bitcoin-knots"
BINARY = Path("usr/bin/bitcoind")
TIMEOUT_S = 600
ADDRESS = re.compile(r"\S+://\S+")
"""Which mirror it was is nobody's business."""
MOUNTS = ("proc", "sys")
"""What debootstrap mounts in the folder, and leaves there when it fails."""


class NodeInstallError(Exception):
    """There is no node; the message says why, in one sentence."""


def cache_folder() -> Path:
    """Where it is by default: not in the home of root, which is closed to a watcher without rights."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "/var/cache").absolute() / "peerwatch/node"


def install(folder: Path) -> Path:
    """The root folder of an installed node, made if it is not there.

    Raises:
        NodeInstallError: it is not there and cannot be made.
    """
    if (folder / BINARY).exists():
        return folder
    if os.geteuid() != 0:
        raise NodeInstallError("installing a node needs root")
    if not shutil.which("debootstrap"):
        raise NodeInstallError("debootstrap is not installed")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # given back when the file is closed, by a crash, too
        if not (folder / BINARY).exists():
            make(folder)
    return folder


def make(folder: Path) -> None:
    """Make it anew, so that it is there only when it is whole.

    Raises:
        NodeInstallError: debootstrap failed.
    """
    unfinished = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=folder.parent))
    try:
        unfinished.chmod(0o755)
        debootstrap(unfinished)
        shutil.rmtree(unfinished / "var/cache/apt", ignore_errors=True)
        unfinished.rename(folder)
    except OSError as error:
        raise NodeInstallError(f"the node cannot be put into {folder}: {error.strerror}") from error
    finally:
        if unfinished.exists():
            remove(unfinished)


def debootstrap(folder: Path) -> None:
    """Run it; its mirror is the one that the machine is set up for.

    Raises:
        NodeInstallError: it failed, and what it said last.
    """
    command = ["debootstrap", "--variant=minbase", f"--include={PACKAGE}", SUITE, str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise NodeInstallError(f"debootstrap was not done after {TIMEOUT_S} s") from None
    if done.returncode or not (folder / BINARY).exists():
        said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise NodeInstallError(f"debootstrap failed: {ADDRESS.sub('the mirror', said[-1])[:200]}")


def remove(folder: Path) -> None:
    """Remove an unfinished folder, and never what is mounted in it."""
    for name in MOUNTS:
        if (folder / name).is_mount():
            subprocess.run(["umount", "--lazy", str(folder / name)], check=False)
    if not any((folder / name).is_mount() for name in MOUNTS):
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """The command line."""
    folder = Path(sys.argv[1]).absolute() if sys.argv[1:] else cache_folder()
    try:
        print(install(folder))
    except NodeInstallError as error:
        print(f"install_node: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
