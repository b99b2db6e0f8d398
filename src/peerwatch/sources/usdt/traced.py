"""One traced process as the watcher sees it: its records on their way into the next chunk, its counters, its position."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from peerwatch.schema.batch import Array
from peerwatch.schema.table import Identity
from peerwatch.sources._api import Chunk
from peerwatch.sources.usdt.link import Blind, Exited, Process
from peerwatch.sources.usdt.made import MadeRows
from peerwatch.sources.usdt.records import RecordReader, Records
from peerwatch.sources.usdt.slots import ADDED, SPENT, UNCACHED
from peerwatch.wire.raw import RawMessages

NAME = "usdt"
"""Source of rows that come from records."""

_COUNTERS = ("dropped", "dropped_bytes", "unreadable", "added", "spent", "uncached", "unassigned")


class Traced:
    """State of one process between chunks."""

    def __init__(self, identity: Identity, ring_session: int, recorded: Mapping[str, Any], unassigned: int) -> None:
        """Go on from what is recorded of this process, if anything is.

        Args:
            identity: of its rows.
            ring_session: tells rings apart; a position in another ring means nothing.
            recorded: the position of its last recorded chunk, or empty.
            unassigned: hits of processes without a slot up to now, which are not this one's to tell.
        """
        if recorded.get("ring_session") != ring_session:
            recorded = {}
        self.identity = identity
        self.slot: int | None = None
        """Where BPF counts for it; None while it has fired nothing."""
        self.recorded_to = int(recorded.get("ring", 0))
        """Ring position up to which its records are in the archive."""
        self.handled = int(recorded.get("handled", 0))
        """Records of it that were handed over, or passed over and said."""
        self.gone = bool(recorded.get("gone", False))
        """Whether the process has ended; what it fired may still come."""
        self.made = MadeRows(identity.node, identity.session, int(recorded.get("made", 0)))
        self._ring_session = ring_session
        self._fact = int(recorded.get("fact", 0))
        self._general = int(recorded.get("general", 0))
        self._introduced = bool(recorded.get("introduced", False))
        declared = {"unassigned": unassigned, **recorded.get("declared", {})}
        self._declared: dict[str, int] = {name: int(declared.get(name, 0)) for name in _COUNTERS}
        self._accounted_at = int(recorded.get("accounted_at", identity.session))
        self._reader = RecordReader(identity)
        self._records: tuple[Records, Array] | None = None
        self._watermark = identity.session
        self._final = False
        self._is_process = False
        """Whether there is or was a process of this session, not only something to say about the node."""

    # -- what comes in -------------------------------------------------------------------------------------------------------

    def told(self, fact: Process, *, answer: bool) -> None:
        """The tracer tells about the process: first that it is there, then (once it fires) its slot.

        An `answer` may be about a process whose end was recorded and will not be told again.
        """
        self._is_process = True
        if not answer:
            self.gone = self._final = False
        if fact.number <= self._fact:
            return
        if not self._introduced:
            self.made.process(fact, max(fact.session, fact.started or 0))
            self._introduced = True
        if fact.gap is not None:
            self.made.gap(fact.gap)
        self._fact = fact.number

    def exited(self, fact: Exited) -> None:
        """The process is gone; what it fired is in the ring."""
        self._is_process = self.gone = True
        if fact.number > self._fact:
            self.made.exited(fact)
            self._fact = fact.number

    def blind(self, fact: Blind) -> None:
        """A part of it cannot be seen."""
        if fact.number > self._fact:
            self.made.blind(fact)
            self._fact = fact.number

    def blind_with_all(self, fact: Blind) -> None:
        """Something concerns all nodes. Such a fact may have waited for the first process, whose own facts have later numbers."""
        if fact.number > self._general:
            self.made.blind(fact)
            self._general = fact.number

    def records(self, buf: Array, offsets: Array, head: Array, utc_offset: int) -> None:
        """Records of this process, in order of arrival; a chunk must be taken before the next ones come."""
        ts = head["ts"].astype(np.int64) + utc_offset
        self.handled += len(head)
        self._records = (self._reader.read(buf, offsets, head, utc_offset), ts)

    def clock_stepped(self, step: int, utc: int, ring: int) -> Chunk:
        """The wall clock stepped by `step` ns and says `utc` now. A chunk of its own: all rows after it have the new time.

        After a step back its watermark is before that of the last chunk, this once.
        """
        # The span is the step: from what the clock would say now to what it says, which is the row's time.
        self.made.loss("clock", f"The wall clock stepped by {step / 1e6:.0f} ms.", (utc - step, utc))
        if step < 0:
            self._watermark = utc
        return self.chunk(ring, None)

    def given_up(self, count: int, utc: int) -> None:
        """Records that a watcher before this one took from the ring, could not record, and did not live to tell of."""
        reason = "A watcher ended before it could tell that these could not be recorded; most likely the disk was full."
        self.made.loss("dropped", reason, (min(self._accounted_at, utc), utc), count=count)
        self.handled += count

    def account(self, counters: Array | None, unassigned: int, utc: int) -> None:
        """Declare what BPF counted and has not been declared yet.

        Args:
            counters: its slot (slots.SLOT); None when it has none.
            unassigned: hits of processes for which no slot was left.
            utc: now, ns.
        """
        now = self._declared | {"unassigned": unassigned}
        if counters is not None:
            now |= {name: int(counters[name]) for name in ("dropped", "dropped_bytes", "unreadable")}
            counted = (("added", ADDED), ("spent", SPENT), ("uncached", UNCACHED))
            now |= {name: int(counters["counted"][at]) for name, at in counted}
        more = {name: now[name] - self._declared[name] for name in _COUNTERS}
        span = (min(self._accounted_at, utc), utc)
        if more["dropped"]:
            reason = "The ring was full: the watcher did not keep up."
            self.made.loss("dropped", reason, span, count=more["dropped"], nbytes=more["dropped_bytes"])
        if more["unreadable"]:
            reason = "Pages of the node's memory were not resident; size and type are known, the content is not."
            self.made.loss("unreadable", reason, span, count=more["unreadable"])
        if more["unassigned"]:
            reason = "Processes came when all slots were taken; restart the tracer to see them."
            self.made.loss("blind", reason, span, count=more["unassigned"])
        if coins := {name: more[name] for name in ("added", "spent", "uncached") if more[name]}:
            self.made.coins(utc, {"added": 0, "spent": 0, "uncached": 0} | coins)
        self._declared = now
        self._accounted_at = utc
        self._final = self.gone

    # -- what goes out -------------------------------------------------------------------------------------------------------

    @property
    def has_news(self) -> bool:
        """Whether a chunk would hold anything."""
        return self._records is not None or self.made.waiting

    @property
    def runs(self) -> bool:
        """Whether there is a process that has not ended."""
        return self._is_process and not self.gone

    @property
    def is_over(self) -> bool:
        """Gone, and its last counters declared: when the ring has been read, nothing more will come."""
        return self._final

    @property
    def order(self) -> tuple[bool, int]:
        """Grows from one process of a node to its successor; what is no process comes before all."""
        return self._is_process, self.identity.session

    def chunk(self, ring: int, now: int | None, *, last: bool = False) -> Chunk:
        """Everything gathered.

        Args:
            ring: ring position up to which records were handed over.
            now: UTC ns up to which everything has been seen; None when the ring still holds more.
            last: whether nothing more will come.
        """
        records, ts = self._records or (None, np.zeros(0, np.int64))
        self._records = None
        rows, row_events = records.merged() if records else ({}, {})
        made, times = self.made.take()
        events = np.concatenate([ts, *(np.array(t, np.int64) for t in times.values())]) if times else ts
        first = len(ts)
        for name, batch in made.items():
            at = np.arange(first, first + batch.num_rows)
            rows[name], row_events[name] = _together(rows.get(name), row_events.get(name, at), batch, at)
            first += batch.num_rows
        newest = now if now is not None else int(ts.max(initial=0))
        self._watermark = max(self._watermark, newest)
        self.recorded_to = max(self.recorded_to, ring)
        return Chunk(
            identity=self.identity,
            watermark=self._watermark,
            messages=records.messages if records else RawMessages.none(),
            events=events,
            message_events=records.message_events if records else np.zeros(0, np.int64),
            rows=rows,
            row_events=row_events,
            position=self._position(),
            ended=last,
        )

    def _position(self) -> dict[str, Any]:
        return {
            "ring_session": self._ring_session,
            "ring": self.recorded_to,
            "handled": self.handled,
            "fact": self._fact,
            "general": self._general,
            "introduced": self._introduced,
            "gone": self.gone,
            "made": self.made.made,
            "declared": dict(self._declared),
            "accounted_at": self._accounted_at,
        }


def _together(
    rows: pa.RecordBatch | None, events: Array, more: pa.RecordBatch, more_events: Array
) -> tuple[pa.RecordBatch, Array]:
    if rows is None:
        return more, more_events
    both = pa.Table.from_batches([rows, more]).unify_dictionaries().combine_chunks().to_batches()[0]
    return both, np.concatenate([events, more_events])
