"""What has arrived: a source's chunk with its events numbered on, cut into stretches in which time only goes forward.

An event's *ordinal* counts all events of the source; everything is ordered by it. An event's *now* (ns) is the latest time of any
event up to it: the clock of all time limits, which does not go back within a stretch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from peerwatch.peers.states import TYPE, UNKNOWN
from peerwatch.schema.batch import SECOND, Array, Rows
from peerwatch.schema.table import Identity, Table
from peerwatch.wire.columns import labels
from peerwatch.wire.raw import RawMessages

Moments = tuple[Array, Array]
"""ts and seq."""


class Arrivals:
    """One chunk: its tables, the events of their rows, and of each event the time, the clock and the `seq`."""

    def __init__(
        self, tables: Mapping[str, pa.RecordBatch], of: Mapping[str, Array], events: Array, now: Array, base: int
    ) -> None:
        """Events get ordinals from `base` on."""
        self.tables = tables
        self.of = of
        self.events = events
        self.now = now
        self.base = base
        self.raw: RawMessages | None = None
        self._messages: Rows | None = None
        self._types: tuple[Array, list[str]] | None = None
        self._rows: Array | None = None
        self._seq: Array | None = None

    def has(self, name: str) -> bool:
        """Whether the chunk has rows of a table."""
        return name in self.tables and self.tables[name].num_rows > 0

    def messages(self) -> Rows:
        """All rows of `message`."""
        if self._messages is None:
            self._messages = Rows(self.tables["message"])
        return self._messages

    def types(self) -> tuple[Array, list[str]]:
        """The source's code of each message's type, and what its codes mean."""
        if self._types is None:
            column = self.tables["message"].column("type")
            codes = column.indices.to_numpy(zero_copy_only=False)
            self._types = codes, column.dictionary.to_pylist()
        return self._types

    def row_of(self, events: Array) -> Array:
        """Rows of `message` of these events (indices into the chunk's)."""
        if self._rows is None:
            self._rows = np.full(len(self.events), -1, np.int64)
            self._rows[self.of["message"]] = np.arange(len(self.of["message"]))
        return np.asarray(self._rows[events])

    def seq(self, events: Array) -> Array:
        """`seq` of these events."""
        if self._seq is None:
            if len(self.of.get("message", ())) == len(self.events):  # each event is a message
                self._seq = self.messages()["seq"]
            else:
                self._seq = np.zeros(len(self.events), np.int64)
                for name, of in self.of.items():
                    if self.has(name):
                        self._seq[of] = self.tables[name].column("seq").to_numpy(zero_copy_only=False)
        return np.asarray(self._seq[events])

    def moments(self, events: Array) -> Moments:
        """Times and numbers of these events."""
        return self.events[events], self.seq(events)

    def head(self, row: int, most: int) -> bytes | None:
        """The first bytes kept of a message; None when nothing was."""
        raw = self.raw
        if raw is None or not raw.kept[row]:
            return None
        start = int(raw.start[row])
        return bytes(raw.buf[start : start + min(most, int(raw.kept[row]))])


class Stretch:
    """Events first … stop-1 of a chunk (indices into it)."""

    def __init__(self, arrivals: Arrivals, first: int, stop: int) -> None:
        """Cut a chunk; nothing is copied."""
        self.arrivals = arrivals
        self.first = first
        self.stop = stop
        self._spans: dict[str, slice] = {}
        self.slots = np.zeros(0, np.int64)
        """Slot of the connection of each event's message, REFUSED where there is none; set once messages are known."""

    @property
    def start(self) -> int:
        """Ordinal of the first event."""
        return self.arrivals.base + self.first

    @property
    def end(self) -> int:
        """Clock at the last event, ns."""
        return int(self.arrivals.now[self.stop - 1])

    def span(self, name: str) -> slice:
        """Which rows of a table belong to it."""
        if name not in self._spans:
            of = self.arrivals.of[name]
            if self.stop - self.first == len(self.arrivals.events):
                self._spans[name] = slice(0, len(of))
            else:
                self._spans[name] = slice(*np.searchsorted(of, (self.first, self.stop)).tolist())
        return self._spans[name]

    def rows(self, name: str, *columns: str) -> Rows | None:
        """Its rows of a table; None when there are none, or one of the columns is missing."""
        if not self.arrivals.has(name):
            return None
        batch, span = self.arrivals.tables[name], self.span(name)
        if span.start == span.stop or any(batch.schema.get_field_index(c) < 0 for c in columns):
            return None
        return Rows(batch if span.stop - span.start == batch.num_rows else batch.slice(span.start, span.stop - span.start))

    def ordinals(self, name: str) -> Array:
        """Ordinals of its rows of a table."""
        return np.asarray(self.arrivals.of[name][self.span(name)] + self.arrivals.base)

    def slots_of(self, ordinals: Array) -> Array:
        """Slots of the connections of these events' messages."""
        return np.asarray(self.slots[ordinals - self.start])

    def in_order(self, ordinals: Array) -> Array:
        """Mask of the events whose order among those of the other side is known.

        A node with a clock set by hand (Core: -mocktime, setmocktime; whole seconds) gives many messages the same time, and a
        capture has those of the two sides in two files. A clock that runs is at a whole second once in a million times.
        """
        return np.asarray(self.arrivals.events[ordinals - self.arrivals.base] % SECOND != 0)

    def moment(self, clock: Array) -> Array:
        """Ordinal of the first event at which the clock is past each of these times; `stop`'s ordinal when there is none yet."""
        now = self.arrivals.now[self.first : self.stop]
        return np.asarray(np.searchsorted(now, clock, side="right") + self.start)

    def second_after(self, second: int) -> int | None:
        """The first event (index into the chunk) of a later second, if there is one."""
        if self.end // SECOND <= second:
            return None
        return int(self.moment(np.array([(second + 1) * SECOND - 1]))[0]) - self.arrivals.base


@dataclass(frozen=True, slots=True)
class Messages:
    """Messages of a stretch, those of connections for which there is room.

    `row` in the chunk's `message`, `ordinal`, `slot` of the connection, `side` (1 when the peer sent it, 0 when the node did),
    and type `code` (states.TYPE).
    """

    row: Array
    ordinal: Array
    slot: Array
    side: Array
    code: Array

    def at(self, stretch: Stretch, events: Array) -> Array:
        """Which of these messages each of these events (indices into the chunk) is; -1 for those it is not."""
        if len(self.row) == stretch.stop - stretch.first:  # each event is one
            return np.asarray(events - stretch.first)
        index = np.full(stretch.stop - stretch.first, -1)
        index[self.ordinal - stretch.start] = np.arange(len(self.row))
        return np.asarray(index[events - stretch.first])

    def take(self, index: Array) -> Messages:
        """Some of them."""
        return Messages(self.row[index], self.ordinal[index], self.slot[index], self.side[index], self.code[index])


def type_codes(names: list[str]) -> Array:
    """Code here of each of a source's types."""
    return np.array([TYPE.get(name, UNKNOWN) for name in names], np.int16)


class Output:
    """Rows that come of a chunk, each with the event that it belongs to and has ts and seq of.

    A table gets either single rows or whole columns.
    """

    def __init__(self) -> None:
        """Start without any."""
        self._rows: dict[type[Table], list[tuple[int, Mapping[str, Any]]]] = {}
        self._columns: dict[type[Table], list[tuple[Array, Mapping[str, Array]]]] = {}
        self._labels: dict[type[Table], Mapping[str, Sequence[str]]] = {}

    def add(self, table: type[Table], event: int, row: Mapping[str, Any]) -> None:
        """One row."""
        self._rows.setdefault(table, []).append((event, row))

    def extend(self, table: type[Table], events: Array, columns: Mapping[str, Array], names: Mapping[str, Sequence[str]]) -> None:
        """Rows in columns; of a label column the codes, and in `names` what these mean (for one table always the same)."""
        self._columns.setdefault(table, []).append((events, columns))
        self._labels[table] = names

    def built(
        self, identity: Identity, moments: Callable[[Array], Moments]
    ) -> tuple[dict[str, pa.RecordBatch], dict[str, Array]]:
        """Batches by table, ordered by event, and the event of each row; `moments` tells ts and seq of events."""
        tables, event_of = {}, {}
        for table, found in self._rows.items():
            order = np.argsort([event for event, _ in found], kind="stable").tolist()
            rows = [found[i][1] for i in order]
            event_of[table.name] = events = np.array([found[i][0] for i in order], np.int64)
            told = dict(zip(("ts", "seq"), moments(events), strict=True))
            tables[table.name] = table.build(identity, told | {name: [row[name] for row in rows] for name in rows[0]})
        for table, parts in self._columns.items():
            events = np.concatenate([of for of, _ in parts])
            order = np.argsort(events, kind="stable")
            columns: dict[str, Any] = dict(zip(("ts", "seq"), moments(events[order]), strict=True))
            columns |= {n: np.concatenate([c[n] for _, c in parts])[order] for n in parts[0][1]}
            columns |= {n: labels(columns[n], names) for n, names in self._labels[table].items()}
            tables[table.name] = table.build(identity, columns)
            event_of[table.name] = events[order]
        return tables, event_of
