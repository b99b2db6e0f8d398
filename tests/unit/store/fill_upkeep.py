"""A program that mounts a small file system of its own and keeps an archive on it while it is full.

Run in a mount namespace of its own (`unshare --mount`), with an empty directory as its argument and this folder on PYTHONPATH.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from datetime import date
from pathlib import Path

from conftest import WHO, files, sealed
from peerwatch.store import layout
from peerwatch.store.archive import Archive
from peerwatch.store.compaction import MANY
from peerwatch.store.layout import DAY
from peerwatch.store.query import Query
from peerwatch.store.removal import Removal
from peerwatch.store.retention import Retention
from peerwatch.store.upkeep import Upkeep


def fill(ballast: Path) -> None:
    """Use up every byte that is left."""
    with suppress(OSError), ballast.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def tidy(kept: Upkeep, paths: list[Path]) -> None:
    """One round of upkeep."""
    kept.sealed(WHO, paths)
    for _ in kept.round():
        pass


def main(folder: Path) -> None:
    """Three days, of which the first goes; then there is room."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=90m", "tmpfs", folder], check=True)
    root = folder / "archive"
    Archive.create_or_open(root).close()
    paths = sealed(root, 4 * MANY, step_ns=DAY // 400)
    rows = Query(root).table("SELECT seq FROM message ORDER BY seq")["seq"].to_pylist()
    there = files(root, "message")

    fill(folder / "ballast")
    kept = Upkeep(root)
    tidy(kept, paths)
    assert files(root, "message") == there, "there is no room to put anything together"
    assert kept.failure is None
    assert Query(root).table("SELECT seq FROM message ORDER BY seq")["seq"].to_pylist() == rows
    print("full", flush=True)  # noqa: T201 - the test reads it

    Removal(root, Retention(rows_days=1)).apply(date(2023, 11, 16))
    assert min(f.date for f in files(root, "message")) == "2023-11-15"
    assert layout.read_meta(root).removed == {"message": "2023-11-14", "ping": "2023-11-14"}
    assert layout.read_meta(root).going == []
    print("removed", flush=True)  # noqa: T201 - as above

    (folder / "ballast").unlink()
    left = Query(root).table("SELECT seq FROM message ORDER BY seq")["seq"].to_pylist()
    tidy(kept, paths)
    assert len(files(root, "message")) < MANY
    assert Query(root).table("SELECT seq FROM message ORDER BY seq")["seq"].to_pylist() == left
    assert left == rows[-len(left) :]
    print("together", flush=True)  # noqa: T201 - as above


if __name__ == "__main__":
    main(Path(sys.argv[1]))
