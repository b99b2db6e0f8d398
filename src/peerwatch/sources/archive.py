"""The archive as a source: replays what was recorded, in order of time, as fast as it is read.

Rows come in order of `ts` and `seq`, whatever order they arrived in, as finished rows of their tables; there are no raw messages.
Chunks keep the identity under which their rows were recorded. Memory is bounded by `chunk_rows` and by what the archive keeps in
one piece (a row group), not by its length.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import pyarrow as pa

from peerwatch.schema.batch import SECOND, Array
from peerwatch.schema.table import Identity
from peerwatch.sources._api import Chunk
from peerwatch.wire.raw import RawMessages

CHUNK_ROWS = 1 << 16
"""Rows of a chunk, unless one event has more."""
CHUNK_SPAN = 60 * SECOND
"""Time that chunks cover at most, all identities cut at the same moments; so that several nodes are replayed side by side."""

_END = np.iinfo(np.int64).max


class Piece(Protocol):
    """Some rows of one table, not loaded yet; none of this or a later piece of its tape has a `ts` below `low`."""

    @property
    def low(self) -> int: ...  # noqa: D102 - said above

    @property
    def load(self) -> Callable[[], pa.RecordBatch]: ...  # noqa: D102 - said above


class History(Protocol):
    """What was recorded; `peerwatch.store.history.History` is one."""

    def identities(self) -> Sequence[Identity]:
        """Whose rows there are."""

    def tapes(self, identity: Identity) -> Sequence[tuple[str, Iterator[Piece]]]:
        """Rows of an identity as (table, pieces in order of `low`), to be loaded in that order."""


@dataclass(slots=True)
class _Tape:
    """One tape, and its next piece."""

    table: str
    pieces: Iterator[Piece]
    next: Piece | None = None

    def __post_init__(self) -> None:
        self.next = next(self.pieces, None)


@dataclass(slots=True)
class _Track:
    """One identity: its tapes that have not ended, and rows that are loaded and not given yet (`first` is their earliest ts)."""

    identity: Identity
    tapes: list[_Tape]
    held: dict[str, list[pa.RecordBatch]] = field(default_factory=dict)
    first: int = _END
    begun: bool = False

    @property
    def low(self) -> int:
        """No row that is still to be loaded is earlier."""
        return min((tape.next.low for tape in self.tapes if tape.next), default=_END)

    @property
    def ended(self) -> bool:
        """Whether there is nothing more."""
        return self.low == _END and not self.held

    def load(self) -> int:
        """Load the piece with the lowest bound; return the number of its rows."""
        tape = min((t for t in self.tapes if t.next), key=lambda t: t.next.low if t.next else _END)
        batch = tape.next.load() if tape.next else None
        tape.next = next(tape.pieces, None)
        if batch is None or not batch.num_rows:
            return 0
        self._hold(tape.table, batch)
        return int(batch.num_rows)

    def give(self, before: int) -> dict[str, pa.RecordBatch]:
        """Take out the loaded rows with a ts below `before`, in no order."""
        loaded, self.held, self.first = self.held, {}, _END
        given: dict[str, pa.RecordBatch] = {}
        for table, batches in loaded.items():
            (rows,) = pa.Table.from_batches(batches).unify_dictionaries().combine_chunks().to_batches()
            due = rows.column("ts").to_numpy() < before
            if due.any():
                given[table] = rows.filter(pa.array(due))
            if not due.all():
                self._hold(table, rows.filter(pa.array(~due)))
        return given

    def _hold(self, table: str, batch: pa.RecordBatch) -> None:
        self.held.setdefault(table, []).append(batch)
        self.first = min(self.first, int(batch.column("ts").to_numpy().min()))


class ArchiveSource:
    """Replays a history: implements `Source`."""

    name = "archive"
    live = False

    def __init__(self, history: History, chunk_rows: int = CHUNK_ROWS, chunk_span: int = CHUNK_SPAN) -> None:
        """Replay all of `history`, in chunks of at most `chunk_rows` rows (or one event) and `chunk_span` nanoseconds."""
        self._chunk_rows = chunk_rows
        self._chunk_span = chunk_span
        self._tracks = [_Track(i, [_Tape(*tape) for tape in history.tapes(i)]) for i in history.identities()]
        self._ready: deque[list[Chunk]] = deque()

    def read(self) -> Sequence[Chunk] | None:
        """Chunks of the next span of time that has rows, for all identities; None at the end.

        An identity that has rows before and after that span, but none in it, gives an empty chunk.
        """
        while not self._ready and self._tracks:
            self._ready.extend(self._next_window())
        return self._ready.popleft() if self._ready else None

    def finish(self) -> Sequence[Chunk]:
        """Nothing: what was not read yet can be read another time."""
        return ()

    def commit(self) -> None:
        """Nothing to do: the archive forgets nothing."""

    def close(self) -> None:
        """Let go of everything loaded. May be called twice."""
        self._tracks = []
        self._ready.clear()

    def _next_window(self) -> Iterator[list[Chunk]]:
        """Load enough rows, and cut those that nothing earlier can follow any more, by spans of time."""
        before = self._load()
        spans: dict[int, list[Chunk]] = {}
        given = [(track, _Ordered.of(track.give(before))) for track in self._tracks]
        for span in sorted({int(s) for _, rows in given for s in np.unique(rows.events // self._chunk_span)}):
            spans[span] = []
            until = min((span + 1) * self._chunk_span, before)
            for track, rows in given:
                first, stop = np.searchsorted(rows.events, [span * self._chunk_span, until])
                track.begun |= stop > first
                over = track.ended and stop == len(rows.events)
                if first < stop:
                    end = (int(rows.events[stop - 1]) // SECOND + 1) * SECOND if over else until
                    spans[span].extend(rows.chunks(track.identity, first, stop, end, self._chunk_rows))
                    spans[span][-1] = replace(spans[span][-1], ended=over)
                elif track.begun and not over:
                    spans[span].append(rows.chunk(track.identity, first, first, until))
        self._tracks = [track for track in self._tracks if not track.ended]
        yield from spans.values()

    def _load(self) -> int:
        """Load pieces in order of time until there are rows for a chunk; return the time before which all rows are loaded."""
        loaded = 0
        while True:
            nearest = min(self._tracks, key=lambda t: t.low)
            before = nearest.low
            enough = loaded >= self._chunk_rows and min(t.first for t in self._tracks) < before
            if before == _END or enough:
                return before
            loaded += nearest.load()


@dataclass(frozen=True, slots=True)
class _Ordered:
    """Rows of one identity in order of (ts, seq). Rows that agree in both, in whatever tables, are one event.

    `events` are the times of the events; `event_of[table]` says which event each row is of, never decreasing.
    """

    events: Array
    tables: Mapping[str, pa.RecordBatch]
    event_of: Mapping[str, Array]

    @classmethod
    def of(cls, tables: Mapping[str, pa.RecordBatch]) -> _Ordered:
        """Bring rows into order; rows of one event keep the order that they have."""
        if not tables:
            return cls(np.zeros(0, np.int64), {}, {})
        ts = np.concatenate([batch.column("ts").to_numpy() for batch in tables.values()])
        seq = np.concatenate([batch.column("seq").to_numpy() for batch in tables.values()])
        order = np.lexsort((seq, ts))
        ts, seq = ts[order], seq[order]
        new = np.ones(len(ts), bool)
        new[1:] = (ts[1:] != ts[:-1]) | (seq[1:] != seq[:-1])
        event = np.empty(len(ts), np.int64)
        event[order] = np.cumsum(new) - 1
        sorted_tables, event_of, at = {}, {}, 0
        for name, batch in tables.items():
            own = event[at : at + batch.num_rows]
            at += batch.num_rows
            by_event = np.argsort(own, kind="stable")
            sorted_tables[name] = batch.take(pa.array(by_event))
            event_of[name] = own[by_event]
        return cls(ts[new], sorted_tables, event_of)

    def chunks(self, identity: Identity, first: int, stop: int, end: int, most: int) -> Iterator[Chunk]:
        """Events first … stop-1 in chunks of at most `most` rows (or one event); `end` is the watermark of the last."""
        rows = np.zeros(stop - first, np.int64)
        for own in self.event_of.values():
            low, high = np.searchsorted(own, [first, stop])
            rows += np.bincount(own[low:high] - first, minlength=stop - first)
        total = np.cumsum(rows)
        begin, done = 0, 0
        while begin < len(total):
            behind = max(int(np.searchsorted(total, done + most, side="right")), begin + 1)
            watermark = end if behind == len(total) else int(self.events[first + behind - 1])
            yield self.chunk(identity, first + begin, first + behind, watermark)
            begin, done = behind, int(total[behind - 1])

    def chunk(self, identity: Identity, first: int, stop: int, watermark: int) -> Chunk:
        """Events first … stop-1, without copying."""
        rows, events = {}, {}
        for table, own in self.event_of.items():
            low, high = np.searchsorted(own, [first, stop])
            if high > low:
                rows[table] = self.tables[table].slice(low, high - low)
                events[table] = own[low:high] - first
        none = np.zeros(0, np.int64)
        seen = self.events[first:stop]
        return Chunk(identity, watermark, RawMessages.none(), seen, none, rows, events, recorded=True)
