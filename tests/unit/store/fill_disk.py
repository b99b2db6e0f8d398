"""A program that mounts a small file system of its own, records into it until it is full and beyond, and checks what is kept.

Run in a mount namespace of its own (`unshare --mount`), with an empty directory as its argument and this folder on PYTHONPATH.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from conftest import WHO, tables
from peerwatch.store.archive import Archive
from peerwatch.store.errors import NotRecordingError
from peerwatch.store.query import Query
from peerwatch.store.writer import Limits, Writer

COUNT = 2000


def numbers(root: Path, table: str) -> list[int]:
    """The numbers of all rows of a table that a reader sees."""
    return Query(root).table(f"SELECT seq FROM {table} ORDER BY seq")["seq"].to_pylist()


def check(root: Path, numbers_committed: list[int]) -> None:
    """Exactly what was committed is there, each row once."""
    assert numbers(root, "message") == numbers_committed
    assert numbers(root, "ping") == [n for n in numbers_committed if n % 10 == 0]


def fill(writer: Writer, committed: list[int], number: int) -> int:
    """Record until nothing more can be; return the next number."""
    while True:
        try:
            writer.append(tables(number, COUNT), {"next": number + COUNT})
        except NotRecordingError as error:
            if "disk of the archive is full" not in str(error):
                raise
            return number
        committed += range(number, number + COUNT)
        number += COUNT


def main(folder: Path) -> None:
    """Fill the disk, go on failing, free some space and go on; then fill it so far that nothing can be sealed, and enlarge it."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], check=True)
    root = folder / "archive"
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(1 << 20))
    committed: list[int] = []
    archive = Archive.create_or_open(root, Limits(size_bytes=400_000))
    writer = archive.writer(WHO)
    number = fill(writer, committed, 0)
    assert committed
    check(root, committed)
    for _ in range(20):
        number = fill(writer, committed, number + COUNT)  # what cannot be recorded is given up, and the next is tried
    check(root, committed)
    ballast.unlink()
    writer.append(tables(number, COUNT), {"next": number + COUNT})
    committed += range(number, number + COUNT)
    check(root, committed)
    fill(writer, committed, number + COUNT)
    with suppress(OSError):
        ballast.write_bytes(bytes(3 << 20))
    archive.close()
    assert list((root / "wal").rglob("*.arrows")), "there is no space for sealing the rest"
    check(root, committed)

    subprocess.run(["mount", "-o", "remount,size=30m", folder], check=True)
    with Archive.create_or_open(root) as archive:
        assert archive.writer(WHO).position == {"next": committed[-1] + 1}
    assert archive.sealing_failure is None
    check(root, committed)
    assert not list((root / "wal").rglob("*.arrows"))
    print("kept", len(committed))  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main(Path(sys.argv[1]))
