"""What outlives a watcher: the state of its detectors, and the incidents that were open.

Rows are exact after a crash; detection goes on from the last snapshot, at most some seconds older. A snapshot that is missing,
broken or of other detectors costs a fresh start of the detectors, nothing else.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peerwatch.alerts.incident import NEWEST_FIRST
from peerwatch.app.pipeline import Pipeline
from peerwatch.schema.batch import SECOND

FOLDER = "state"

EVERY_NS = SECOND
"""Snapshots are at least this far apart …"""

SHARE = 100
"""… and take at most one part of so many of the time."""

AHEAD_S, BEHIND_S = 60, 86_400
"""A snapshot further from the present than this is none to go on from: the clock was set back meanwhile, and detection would
wait for it to catch up; or what it knows is of another day."""

_OPEN = f"""
SELECT * FROM incident WHERE node = '{{node}}'
QUALIFY row_number() OVER (PARTITION BY incident ORDER BY {NEWEST_FIRST}) = 1 AND state <> 'resolved'
ORDER BY ts
"""  # noqa: S608 - names of nodes are plain


def open_incidents(archive: Path, node: str) -> list[dict[str, Any]]:
    """Newest rows of the incidents of a node that are not resolved. Names of nodes are plain (see config): no quoting needed."""
    from peerwatch.store.query import Query  # noqa: PLC0415 - DuckDB takes long to import, and a replay does not ask

    return [dict(row) for row in Query(archive).table(_OPEN.format(node=node)).to_pylist()]


class Snapshots:
    """Snapshots of the detectors of every node, a file each."""

    def __init__(self, archive: Path, clock: Callable[[], int], utc: Callable[[], int] | None = None) -> None:
        """Keep them inside the archive; `clock` is monotonic, ns, and `utc` the wall clock, in place of the usual one."""
        self._folder = archive / FOLDER
        self._clock = clock
        self._utc = utc or time.time_ns
        self._next = 0

    def load(self, pipeline: Pipeline) -> bool:
        """Let a pipeline go on from its snapshot.

        Returns:
            Whether there was one that fits the detectors and the time. If not, the pipeline may have taken up a part of it, and
            is to be thrown away.
        """
        now = self._utc() // SECOND
        try:
            state = json.loads(self._path(pipeline).read_bytes())
            ahead = (state["runner"]["second"] or now) - now
            if not -BEHIND_S <= ahead <= AHEAD_S:
                return False
            pipeline.restore(state)
        except Exception:  # noqa: BLE001 - whatever stands in the file, and whatever a detector makes of it
            return False
        return True

    def save(self, pipelines: list[Pipeline], *, now: bool = False) -> None:
        """Write snapshots if it is time, or `now`. A disk that is full costs the snapshot only."""
        began = self._clock()
        if began < self._next and not now:
            return
        for pipeline in pipelines:
            path = self._path(pipeline)
            new = path.with_suffix(".new")
            try:
                self._folder.mkdir(mode=0o750, exist_ok=True)
                new.write_text(json.dumps(pipeline.snapshot()))
                new.replace(path)
            except OSError:
                with contextlib.suppress(OSError):
                    new.unlink()
        self._next = self._clock() + max(EVERY_NS, SHARE * (self._clock() - began))

    def _path(self, pipeline: Pipeline) -> Path:
        return self._folder / f"{pipeline.identity.node}.json"
