"""Rows that a source makes one by one, numbered in the order in which they come, until a chunk takes them.

Every row is an event of its own. Rows may be added in one thread and taken in another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa

from peerwatch.schema.batch import Array
from peerwatch.schema.table import Identity, Table
from peerwatch.schema.tables.loss import Loss
from peerwatch.sources._api import Chunk
from peerwatch.wire.raw import RawMessages

Rows = tuple[type[Table], Mapping[str, Sequence[Any] | Array]]
"""A table and columns of it, `ts` among them, all of equal length; not `seq`, nor what says whose rows they are."""


@dataclass(slots=True)
class _Session:
    """What was gathered under one identity."""

    identity: Identity
    next_seq: int = 0
    rows: list[tuple[int, Rows]] = field(default_factory=list)
    """First sequence number and columns, in order of arrival."""
    ended: bool = False


class Gathered:
    """Rows of one node and source. See the module."""

    def __init__(self, node: str, source: str, session: int, seq: int = 0) -> None:
        """Begin with session `session` (ns UTC) and sequence number `seq`."""
        self._lock = Lock()
        self._sessions = [_Session(Identity(node, session, source), seq)]
        self._unseen: dict[str, tuple[int, str]] = {}
        """Since when each part of the node is not seen, ns UTC, and why."""

    @property
    def identity(self) -> Identity:
        """Whose rows those added now are."""
        return self._sessions[-1].identity

    @property
    def seq(self) -> int:
        """Number of the next row."""
        return self._sessions[-1].next_seq

    @property
    def waiting(self) -> bool:
        """Whether anything waits to be taken."""
        return len(self._sessions) > 1 or bool(self._sessions[-1].rows)

    def add(self, table: type[Table], ts: int, **values: Any) -> None:
        """Add one row."""
        self.add_rows((table, {"ts": [ts], **{name: [value] for name, value in values.items()}}))

    def add_rows(self, rows: Rows) -> None:
        """Add rows of one table; none of them is no event."""
        count = len(rows[1]["ts"])
        if not count:
            return
        with self._lock:
            session = self._sessions[-1]
            session.rows.append((session.next_seq, rows))
            session.next_seq += count

    def loss(self, kind: str, part: str, reason: str, span: tuple[int, int], count: int = 0) -> None:
        """Something was not seen; `part` says of what, `span` is the time concerned in ns UTC, and it is noticed at its end."""
        first, last = span
        row = {"kind": kind, "probe": part, "first_ts": first, "last_ts": last, "count": count, "bytes": 0}
        self.add(Loss, last, reason=reason, **row)

    def clock(self, reason: str, span: tuple[int, int], ts: int) -> None:
        """The wall clock was set, over `span`, and is `ts` now (ns UTC)."""
        row = {"kind": "clock", "probe": None, "first_ts": span[0], "last_ts": span[1], "count": 0, "bytes": 0}
        self.add(Loss, ts, reason=reason, **row)

    def unseen(self, part: str, reason: str, ts: int) -> None:
        """A part of the node cannot be seen at `ts`: a `loss` row of kind blind, once for each reason."""
        since, known = self._unseen.get(part, (ts, ""))
        if reason != known:
            self._unseen[part] = (since, reason)
            self.loss("blind", part, reason, (since, ts))

    def seen(self, part: str, ts: int) -> None:
        """A part of the node is seen at `ts`: if it was not before, a `loss` row of kind gap says for how long."""
        if (before := self._unseen.pop(part, None)) is not None:
            since, reason = before
            self.loss("gap", part, f"Seen again after: {reason}", (since, ts))

    def restart(self, session: int) -> None:
        """The node was restarted: what is added from now on belongs to a new session, `session` (ns UTC), numbered from 0."""
        with self._lock:
            old = self._sessions[-1]
            old.ended = True
            later = max(session, old.identity.session + 1)
            self._sessions.append(_Session(Identity(old.identity.node, later, old.identity.source)))

    def take(self, watermark: int, position: Mapping[str, Any] | None = None) -> list[Chunk]:
        """Everything gathered: a chunk for each session, the last one even when it is empty."""
        with self._lock:
            sessions = self._sessions
            last = sessions[-1]
            self._sessions = [_Session(last.identity, last.next_seq)]
        return [_chunk(each, watermark, (position or {}) if each is last else {}) for each in sessions]


def _chunk(session: _Session, watermark: int, position: Mapping[str, Any]) -> Chunk:
    begin = session.rows[0][0] if session.rows else session.next_seq
    events = np.zeros(session.next_seq - begin, np.int64)
    parts: dict[type[Table], list[tuple[Array, pa.RecordBatch]]] = {}
    for first, (table, columns) in session.rows:
        seq = np.arange(first, first + len(columns["ts"]))
        events[seq - begin] = columns["ts"]
        parts.setdefault(table, []).append((seq - begin, table.build(session.identity, {**columns, "seq": seq})))
    rows, row_events = {}, {}
    for table, batches in parts.items():
        row_events[table.name] = np.concatenate([of for of, _ in batches])
        whole = pa.Table.from_batches([batch for _, batch in batches]).unify_dictionaries().combine_chunks()
        rows[table.name] = whole.to_batches()[0] if len(batches) > 1 else batches[0][1]
    return Chunk(
        session.identity,
        watermark,
        RawMessages.none(),
        events,
        np.zeros(0, np.int64),
        rows,
        row_events,
        position,
        ended=session.ended,
    )
