"""A program that mounts a small file system of its own and watches an attack into it while the disk is full for some time.

Run in a mount namespace of its own (`unshare --mount`), with an empty directory as its argument and the repository on PYTHONPATH.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from peerwatch.app import watch
from peerwatch.app.pipeline import Settings
from peerwatch.app.recorder import Recorder, Unrecorded
from peerwatch.app.watch import RECORDER, Watch
from peerwatch.schema.batch import SECOND
from peerwatch.sources._api import Chunk
from peerwatch.sources.simulation import source as simulation
from peerwatch.sources.simulation.simulation import Plan
from peerwatch.sources.simulation.source import SimulationSource
from peerwatch.store.archive import Archive
from peerwatch.store.query import Query

START = 1_760_054_400 * SECOND
PLAN = Plan("addr-flood-2021", 3, START, 180 * SECOND, 0.2, {"start_s": 70, "duration_s": 20, "rate": 4, "peers": 2})
FULL_FROM, FULL_UNTIL = START + 60 * SECOND, START + 120 * SECOND


class Counting(Recorder):
    """Remembers what it gave up."""

    refused: list[Unrecorded] = []  # noqa: RUF012 - the program's only one

    def flush(self) -> list[Unrecorded]:
        """As ever."""
        refused = super().flush()
        self.refused += [lost for lost in refused if lost.identity.source != RECORDER]
        return refused


class Phased:
    """A simulation during which the disk is filled, and later has room again."""

    name = "simulation"
    live = False

    def __init__(self, ballast: Path) -> None:
        """Fill the disk with `ballast`."""
        self._source = SimulationSource.simulated(PLAN, "alice")
        self._ballast = ballast
        self.finish, self.commit, self.close = self._source.finish, self._source.commit, self._source.close
        self.lost: set[int] = set()
        self.kept: set[int] = set()

    def read(self) -> Sequence[Chunk] | None:
        """The next chunk, and the disk as it is at its time."""
        chunks = self._source.read()
        for chunk in chunks or ():
            full = FULL_FROM <= chunk.watermark < FULL_UNTIL
            (self.lost if full else self.kept).update(chunk.messages.seq.tolist())
            if not full:
                self._ballast.unlink(missing_ok=True)
                continue
            with suppress(OSError), self._ballast.open("ab", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
        return chunks


class Sink:
    """Remembers states of incidents."""

    name = "sink"

    def __init__(self) -> None:
        """None yet."""
        self.rows: list[dict[str, Any]] = []

    def write(self, incidents: pa.RecordBatch) -> None:
        """Take them."""
        self.rows += incidents.to_pylist()

    def close(self) -> None:
        """Nothing."""


def main(folder: Path) -> None:
    """Watch, and print what became of everything."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder], check=True)
    watch.FLUSH_NS = 0  # every chunk is written by itself
    watch.Recorder = Counting
    simulation.CHUNK_EVENTS = 1000
    source, sink = Phased(folder / "ballast"), Sink()
    with Archive.create_or_open(folder / "archive") as archive:
        Watch(archive, Settings(archive.inventory_key, START + 1, {}), [sink]).run([source])
    rows = Query(folder / "archive")
    recorded = set(rows.table("SELECT seq FROM message")["seq"].to_pylist())
    losses = rows.table(f"SELECT * FROM loss WHERE source = '{RECORDER}' ORDER BY seq").to_pylist()
    report = {
        "kept": len(source.kept & recorded) == len(source.kept),
        "lost": len(source.lost),
        "lost and recorded": len(source.lost & recorded),
        "given up": sum(lost.events for lost in Counting.refused),
        "said": sum(r["count"] for r in losses),
        "bytes said": sum(r["bytes"] for r in losses) == sum(lost.bytes for lost in Counting.refused),
        "numbers": [r["seq"] for r in losses] == list(range(len(losses))),
        "times": [FULL_FROM - 60 * SECOND <= r["first_ts"] <= r["last_ts"] < FULL_UNTIL + 60 * SECOND for r in losses],
        "reasons": sorted({r["reason"] for r in losses}),
        "alerts": sorted({r["kind"] for r in sink.rows if FULL_FROM <= r["ts"] < FULL_UNTIL}),
    }
    print(json.dumps(report))  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main(Path(sys.argv[1]))
