"""What a source is.

The run loop calls `read` again and again, has what it returns recorded, and then calls `commit`: what a source handed over
before a commit is safe on disk, and only then may the source forget it. After a crash the source is opened with the
`position` that went into the archive with the last recorded rows, and goes on exactly there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from peerwatch.schema.batch import Array
from peerwatch.schema.table import Identity
from peerwatch.wire.raw import RawMessages


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one `read` gives for one node: messages, finished rows of tables, or both; possibly nothing but a later watermark.

    `events` are the times of all events in order of arrival; `message_events` and `row_events[table]` say which event each
    message and row is. `position` is what the source needs to go on after this chunk (JSON-able, small). The watermark never goes
    back, but for a chunk with a `loss` row of kind clock, which says that the wall clock was set back.
    """

    identity: Identity
    watermark: int
    messages: RawMessages
    events: Array
    message_events: Array
    rows: Mapping[str, pa.RecordBatch] = field(default_factory=dict)
    row_events: Mapping[str, Array] = field(default_factory=dict)
    position: Mapping[str, Any] = field(default_factory=dict)
    ended: bool = False
    """Nothing more will come under this identity."""
    recorded: bool = False
    """The rows come out of an archive: those that are made of other rows are among them already."""


class Source(Protocol):
    """Where rows come from."""

    name: str
    """Name in the `source` column: usdt, capture, archive, simulation …"""
    live: bool
    """True when it goes on by itself and time matters; false when it is read as fast as possible and ends."""

    def read(self) -> Sequence[Chunk] | None:
        """What has come since the last read, without waiting; None when there will be nothing more.

        A live source returns at least one chunk a second for each node that it watches, even an empty one.
        """

    def finish(self) -> Sequence[Chunk]:
        """The run is being stopped: what can still be handed over at once, counters included. Called until it gives nothing."""

    def commit(self) -> None:
        """Everything read so far is recorded."""

    def close(self) -> None:
        """Give back what it holds. May be called twice."""
