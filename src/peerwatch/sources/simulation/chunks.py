"""Windows of events become chunks, with the rows that the kernel's records of the same events would give.

Three things are done here that BPF does for a traced node: peers that were connected before the start are described before their
first message, UTXO-cache events are counted by the second, and everything gets its sequence number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from peerwatch.schema.batch import SECOND, Array
from peerwatch.schema.table import Identity
from peerwatch.schema.tables.loss import Loss
from peerwatch.schema.tables.utxocache import Utxocache
from peerwatch.sources._api import Chunk
from peerwatch.sources.simulation.events import NUMBER, Events, Name, Window
from peerwatch.sources.simulation.pieces import Pieces
from peerwatch.sources.usdt.probes import DESCRIBED, DESCRIBED_BODY, HEADER
from peerwatch.sources.usdt.records import RecordReader
from peerwatch.wire.raw import PAD

NAME = "simulation"

_COUNTED = {NUMBER["utxocache:add"]: "added", NUMBER["utxocache:spent"]: "spent", NUMBER["utxocache:uncache"]: "uncached"}
"""Column of each probe that is only counted."""

_OPENED = (NUMBER["net:inbound_connection"], NUMBER["net:outbound_connection"])
_CLOSED = NUMBER["net:closed_connection"]


class Chunks:
    """Makes one node's chunks, of windows in order."""

    def __init__(self, identity: Identity) -> None:
        """Rows will carry `identity`."""
        self.identity = identity
        self.seq = 0
        """Number of the next event."""
        self._reader = RecordReader(identity)
        self._known: set[int] = set()
        self._coins: dict[int, Counter[str]] = {}

    def chunk(self, window: Window, *, last: bool = False) -> Chunk:
        """The rows of a window. With the `last` one, a second that has begun is over."""
        self._count(window.events)
        events = _without_counted(window.events)
        events = self._described(events, window)
        seconds = sorted(s for s in self._coins if last or (s + 1) * SECOND <= window.end)
        # A second's figures come as its last nanosecond, after all that happened in it.
        at = np.array([min((s + 1) * SECOND, window.end) - 1 for s in seconds], np.int64)
        before = np.searchsorted(events.head["ts"].astype(np.int64), at, side="right")
        of_second = before + np.arange(len(at))
        total = len(events) + len(at)
        of_record = np.delete(np.arange(total), of_second)
        times = np.empty(total, np.int64)
        times[of_record], times[of_second] = events.head["ts"], at
        events.head["seq"] = self.seq + of_record
        read = self._reader.read(events.bodies.buf, events.bodies.start - HEADER.itemsize, events.head, 0)
        rows, row_events = read.merged()
        row_events = {table: of_record[index] for table, index in row_events.items()}
        if seconds:
            self._add_seconds(rows, row_events, times, of_second)
        self.seq += total
        return Chunk(self.identity, window.end, read.messages, times, of_record[read.message_events], rows, row_events,
                     {"seq": self.seq, "end": window.end})  # fmt: skip

    def finish(self, end: int, lost: str | None = None) -> Chunk:
        """The last chunk, up to `end` (ns): figures of a second that had begun, and a `loss` row when something is `lost`."""
        chunk = self.chunk(Window(Events.joined([]), end, {}), last=True)
        if lost is None:
            return replace(chunk, ended=True)
        row = {"kind": ["truncated"], "first_ts": [end], "last_ts": [end], "count": [0], "bytes": [0], "reason": [lost]}
        loss = Loss.build(self.identity, {"ts": [end], "seq": [self.seq], **row})
        self.seq += 1
        return replace(
            chunk,
            events=np.append(chunk.events, end),
            rows={**chunk.rows, Loss.name: loss},
            row_events={**chunk.row_events, Loss.name: np.array([len(chunk.events)])},
            position={"seq": self.seq, "end": end},
            ended=True,
        )

    def _count(self, events: Events) -> None:
        for number, column in _COUNTED.items():
            which = events.head["probe"] == number
            seconds, counts = np.unique(events.head["ts"][which] // np.uint64(SECOND), return_counts=True)
            for second, count in zip(seconds.tolist(), counts.tolist(), strict=True):
                self._coins.setdefault(second, Counter())[column] += count

    def _add_seconds(self, rows: dict[str, pa.RecordBatch], row_events: dict[str, Array], times: Array, of_second: Array) -> None:
        """Rows of seconds, among those of flushes."""
        at = times[of_second]
        counts = [self._coins.pop(int(t) // SECOND) for t in at]
        columns: dict[str, Any] = {"ts": at, "seq": self.seq + of_second, "event": ["second"] * len(at)}
        columns |= {name: np.array([c[name] for c in counts], np.int64) for name in _COUNTED.values()}
        made, index = Utxocache.build(self.identity, columns), of_second
        if Utxocache.name in rows:
            index = np.concatenate([row_events[Utxocache.name], of_second])
            both = pa.Table.from_batches([rows[Utxocache.name], made]).unify_dictionaries().combine_chunks()
            order = np.argsort(index)
            made, index = both.take(pa.array(order)).combine_chunks().to_batches()[0], index[order]
        rows[Utxocache.name], row_events[Utxocache.name] = made, index

    def _described(self, events: Events, window: Window) -> Events:
        """Put descriptions before the first messages of peers that were not seen to connect."""
        head = events.head
        where = np.flatnonzero(events.messages())
        peers, first = np.unique(head["peer"][where], return_index=True)
        opened = np.flatnonzero(np.isin(head["probe"], _OPENED))
        when = dict(zip(head["peer"][opened].tolist(), opened.tolist(), strict=True))
        new = [
            (place, peer)
            for peer, place in zip(peers.tolist(), where[first].tolist(), strict=True)
            if peer not in self._known and when.get(peer, place) >= place
        ]
        self._known.update(when, peers.tolist())
        self._known.difference_update(head["peer"][head["probe"] == _CLOSED].tolist())
        return _inserted(events, [p for p, _ in new], [(peer, window.names[peer]) for _, peer in new]) if new else events


def _without_counted(events: Events) -> Events:
    counted = np.isin(events.head["probe"], list(_COUNTED))
    return events.take(~counted) if counted.any() else events


def _inserted(events: Events, places: Sequence[int], who: Sequence[tuple[int, Name]]) -> Events:
    """Events with descriptions of peers before those at `places`."""
    head, body = np.zeros(len(who), HEADER), np.zeros(len(who), DESCRIBED_BODY)
    head["ts"], head["probe"], head["kept"] = events.head["ts"][list(places)], DESCRIBED, body.itemsize
    head["peer"] = [peer for peer, _ in who]
    body["address"], body["conn_type"] = [n.address for _, n in who], [n.conn_type for _, n in who]
    rows = np.concatenate([body.view(np.uint8), np.zeros(PAD, np.uint8)])
    size = np.full(len(who), body.itemsize)
    made = Events(head, Pieces(rows, np.arange(len(who)) * body.itemsize, size))
    order = np.argsort(np.concatenate([2 * np.arange(len(events)) + 1, 2 * np.array(places)]), kind="stable")
    return Events.joined([events, made]).take(order)


def after(chunk: Chunk, seq: int) -> Chunk:
    """What of a chunk comes at or after event `seq`."""
    skip = len(chunk.events) - (int(chunk.position["seq"]) - seq)
    if skip <= 0:
        return chunk
    first = int(np.searchsorted(chunk.message_events, skip))
    rows, row_events = {}, {}
    for table, batch in chunk.rows.items():
        left = int(np.searchsorted(chunk.row_events[table], skip))
        rows[table], row_events[table] = batch.slice(left), chunk.row_events[table][left:] - skip
    return replace(chunk, messages=chunk.messages.slice(first, len(chunk.messages)), events=chunk.events[skip:],
                   message_events=chunk.message_events[first:] - skip, rows=rows, row_events=row_events)  # fmt: skip
