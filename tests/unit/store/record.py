"""A program that records numbered rows without end, sealing often, and says on stdout how far it has come.

Run with the archive, the seconds between two appends and, if not 30000, the bytes of a segment as its arguments, and this folder
on PYTHONPATH; it goes on after what is recorded.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from conftest import WHO, tables
from peerwatch.store.archive import Archive
from peerwatch.store.writer import Limits


def main(root: Path, pause: float, size: int = 30_000) -> None:
    """Append batches of changing size until killed."""
    with Archive.create_or_open(root, Limits(age_s=3600, size_bytes=size)) as archive:
        writer = archive.writer(WHO)
        number = writer.position.get("next", 0)
        while True:
            count = 1 + number * 7919 % 300
            writer.append(tables(number, count), {"next": number + count})
            number += count
            print(number, flush=True)  # noqa: T201 - this is what it is for
            time.sleep(pause)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), *map(int, sys.argv[3:]))
