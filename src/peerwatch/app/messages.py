"""Recorded messages in order of time, page by page: the last so many, all, or all that come from now on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from peerwatch.app.message_details import Details, Dissected, Wanted
from peerwatch.app.message_filter import Filter, literal
from peerwatch.app.message_follow import PAGE, Follower, messages_of
from peerwatch.schema.batch import SECOND
from peerwatch.schema.table import Identity
from peerwatch.store.query import Query
from peerwatch.wire.registry import dissector_of_type

PART_BYTES = 1 << 20
"""Payload bytes kept of the messages dissected at a time: what bounds how many entries they have, and so the memory."""

FEW_BYTES = 64
"""Counted of a message that is no list of entries, however long it is."""

KEY = ("ts", "node", "session", "source", "seq")
_ORDER = ", ".join(KEY)
_NEWEST_FIRST = ", ".join(f"{column} DESC" for column in KEY)

_LISTS = [
    name for name, dissector in dissector_of_type().items() if dissector.table and "idx" in dissector.table.columns
]  # fmt: skip
"""Types of messages that are lists of entries."""

FURTHER = 16
"""How much further back (in time) is looked each time that too little was found."""

Key = tuple[int, str, int, str, int]
"""A message's place in the order: the columns of KEY."""


@dataclass(frozen=True, slots=True)
class Span:
    """Times of the first and the last message, ns UTC."""

    first: int
    last: int


class Messages:
    """The messages of an archive that fit a filter."""

    def __init__(self, archive: Path, chosen: Filter, wanted: Wanted) -> None:
        """Look whether it is an archive.

        Raises:
            ArchiveError: as Query.
        """
        self._archive = archive
        self._query = Query(archive)
        self._chosen = chosen
        self._condition = chosen.condition()
        self._details = Details(self._query, wanted)
        self.nodes: set[str] = set()
        """Nodes that there are messages of, as far as these could be shown."""

    def span(self) -> Span | None:
        """From when to when there are messages, whatever the filter; None when there are none.

        Raises:
            QueryError, ArchiveError: as Query.table.
        """
        (row,) = self._query.table("SELECT min(ts) AS first, max(ts) AS last FROM message").to_pylist()
        return None if row["first"] is None else Span(row["first"], row["last"])

    def counted(self) -> bool:
        """Whether messages were rolled up, whether their rows are there or not.

        Raises:
            QueryError, ArchiveError: as Query.table.
        """
        return bool(self._query.table("SELECT 1 FROM rate LIMIT 1").num_rows)

    def history(self, last: int | None) -> Iterator[list[Dissected]]:
        """The last so many messages, or all, oldest first.

        Raises:
            QueryError, ArchiveError: as Query.table.
        """
        self._note_nodes(messages_of(self._archive))
        span = self.span()
        for rows in self._history(last, span, span):
            yield from self._dissected(rows)

    def follow(self, last: int | None, stop: Callable[[], bool]) -> Iterator[list[Dissected]]:
        """The last so many messages, or all, and then what is recorded from now on, until `stop` (which may wait) says so.

        Raises:
            QueryError, ArchiveError: as Query.table.
        """
        before = self.span()  # so that the last messages are counted without those that come meanwhile
        follower = Follower(self._archive, self._query, self._condition)
        self._note_nodes(follower.there)
        now = self.span()
        for rows in self._history(last, before or now, now):
            yield from self._dissected(follower.known(rows))
        while not stop():
            for rows in follower.news():
                self._note_nodes(follower.there)
                yield from self._dissected(rows)

    def _note_nodes(self, identities: Iterable[Identity]) -> None:
        nodes = {identity.node for identity in identities}
        self.nodes = nodes & {self._chosen.node} if self._chosen.node in nodes else nodes

    def _dissected(self, rows: pa.Table) -> Iterator[list[Dissected]]:
        """A page in parts that hold so many bytes of entries, at least a message each."""
        lists = pc.is_in(rows["type"], pa.array(_LISTS)).to_numpy()
        part = np.cumsum(np.where(lists, rows["kept"].to_numpy().astype(np.int64), FEW_BYTES)) // PART_BYTES
        bounds = np.flatnonzero(np.diff(part, prepend=-1, append=-1)).tolist()
        for first, stop in pairwise(bounds):
            yield self._details.of(rows.slice(first, stop - first))

    def _history(self, last: int | None, counted: Span | None, span: Span | None) -> Iterator[pa.Table]:
        """Messages of a span, in order: all, or from the one on that is the last but so many of the span `counted`."""
        if counted is None or span is None or last == 0:
            return
        low = max(counted.first, self._chosen.since or counted.first)
        high = span.last + 1 if self._chosen.until is None else min(span.last + 1, self._chosen.until)
        if last is None:
            yield from self._pages(_before(low), high, SECOND)
        elif (start := self._start(low, min(high, counted.last + 1), last)) is not None:
            yield from self._pages(start, high, high - start[0])

    def _start(self, low: int, high: int, last: int) -> Key | None:
        """The place just before the last so many messages; None when there are none."""
        width = SECOND
        while low < high:
            begin = max(high - width, low)
            found = self._query.table(
                f"SELECT {_ORDER} FROM message WHERE {self._condition} AND ts >= {begin} AND ts < {high} "  # noqa: S608 - quoted
                f"ORDER BY {_NEWEST_FIRST} LIMIT {last}"
            )
            if found.num_rows == last or begin == low:
                return _place(found.slice(found.num_rows - 1), -1) if found.num_rows else None
            width *= FURTHER
        return None

    def _pages(self, after: Key, high: int, width: int) -> Iterator[pa.Table]:
        """What comes after a place and before a time, in order. `width` (ns) is a first guess of the time that a page takes."""
        while after[0] < high:
            end = min(after[0] + width, high)
            rows = self._query.table(
                f"SELECT * FROM message WHERE {self._condition} AND ts >= {after[0]} AND ts < {end} "  # noqa: S608 - quoted
                f"AND ({_ORDER}) > {_literals(after)} ORDER BY {_ORDER} LIMIT {PAGE}"
            )
            if rows.num_rows:
                yield rows
            if rows.num_rows == PAGE:
                after, width = _place(rows.slice(PAGE - 1)), max(width // 2, 1)
            else:
                after, width = _before(end), width * 4


def _before(ts: int) -> Key:
    """The place before all messages of a time: no node has an empty name."""
    return (ts, "", 0, "", -1)


def _place(row: pa.Table, shift: int = 0) -> Key:
    """The place of the one message of `row`; with `shift` -1, the one just before it."""
    ts, node, session, source, seq = (row[column][0].as_py() for column in KEY)
    return (ts, node, session, source, seq + shift)


def _literals(place: Key) -> str:
    shown: list[Any] = [literal(value) if isinstance(value, str) else str(value) for value in place]
    return f"({', '.join(shown)})"
