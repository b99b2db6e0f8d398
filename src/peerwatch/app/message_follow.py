"""Messages as they are recorded: the archive is asked again and again for what was not there before.

What is known of an identity (node, session, source) is told by sequence numbers, so it does not matter whether rows lie in the
write-ahead segment or in Parquet files by now, nor what their clock says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from peerwatch.app.message_filter import literal
from peerwatch.schema.batch import Array
from peerwatch.schema.table import Identity
from peerwatch.schema.tables.message import Message
from peerwatch.store import snapshot
from peerwatch.store.query import Query

LOOKBACK = 1 << 16
"""Sequence numbers are taken before a record has its place, so a few rows come later than ones with higher numbers: as many as
other processors write while a thread is held up in between. Rows further back than this are taken for known."""

MOST = 1 << 20
"""Messages counted at a time when many have come."""

PAGE = 20_000
"""Messages given at a time: many, because what a query costs is mostly its beginning."""


def _none() -> Array:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Mark:
    """What is known of an identity: every sequence number up to `floor`, and those of `beyond` (ascending)."""

    floor: int = -1
    beyond: Array = field(default_factory=_none)

    def knows(self, numbers: Array) -> Array:
        """Mask of the sequence numbers that are known."""
        return np.asarray((numbers <= self.floor) | np.isin(numbers, self.beyond))

    def and_then(self, numbers: Array, high: int) -> Mark:
        """What is known once `numbers` are, when the highest recorded of all is `high`."""
        floor = max(self.floor, high - LOOKBACK)
        beyond = np.union1d(self.beyond, numbers)
        return Mark(floor, beyond[beyond > floor])


def messages_of(archive: Path) -> dict[Identity, tuple[int, int]]:
    """Whose messages there are, each with what changes whenever one is added: bytes written ahead, and the number of files.

    Raises:
        ArchiveError: the archive cannot be read.
    """
    taken = snapshot.take(archive, {Message.name})
    files = Counter(file.identity for file in taken.sealed)
    size: Counter[Identity] = Counter()
    for live in taken.live:
        for stream in live.streams.values():
            size[live.identity] += stream.size
    return {identity: (size[identity], files[identity]) for identity in size.keys() | files.keys()}


class Follower:
    """Gives rows of `message` that were recorded since it was made, each once, whatever the order in which they come."""

    def __init__(self, archive: Path, query: Query, condition: str) -> None:
        """Take everything that is there for known.

        Raises:
            QueryError, ArchiveError: as Query.table.
        """
        self._archive = archive
        self._query = query
        self._condition = condition
        self.there = messages_of(archive)
        """Whose messages there are, as of the last look."""
        highest = query.table("SELECT node, session, source, max(seq) AS seq FROM message GROUP BY ALL").to_pylist()
        self._marks = {Identity(row["node"], row["session"], row["source"]): Mark(row["seq"]) for row in highest}
        for identity, (live, _) in self.there.items():
            if live and identity in self._marks:
                mark = Mark(max(self._marks[identity].floor - LOOKBACK, -1))
                high, numbers = self._ask(identity, mark.floor)
                self._marks[identity] = mark.and_then(numbers, high)

    def known(self, rows: pa.Table) -> pa.Table:
        """The rows that are known; all others will come as news."""
        numbers = rows["seq"].to_numpy()
        known = np.zeros(rows.num_rows, bool)
        for identity, mark in self._marks.items():
            known |= np.asarray(_of(rows, identity)) & mark.knows(numbers)
        return rows.filter(pa.array(known))

    def news(self) -> Iterator[pa.Table]:
        """Rows that have come since the last time, in pages, each in order of time.

        Raises:
            QueryError, ArchiveError: as Query.table.
        """
        before, self.there = self.there, messages_of(self._archive)
        changed = [who for who in before.keys() | self.there.keys() if before.get(who) != self.there.get(who)]
        for pages in zip_longest(*(self._news_of(identity) for identity in sorted(changed, key=_order))):
            rows = pa.concat_tables([page for page in pages if page is not None], promote_options="permissive")
            yield rows.sort_by([(column, "ascending") for column in ("ts", "node", "session", "source", "seq")])

    def _news_of(self, identity: Identity) -> Iterator[pa.Table]:
        more = True
        while more:
            mark = self._marks.get(identity, Mark())
            high, numbers = self._ask(identity, mark.floor)
            new = numbers[~mark.knows(numbers)]
            for first in range(0, len(new), PAGE):
                yield self._rows(identity, new[first : first + PAGE])
            self._marks[identity] = mark.and_then(new, high)
            more = len(numbers) == MOST

    def _ask(self, identity: Identity, floor: int) -> tuple[int, Array]:
        """The highest sequence number recorded, and those beyond `floor` that fit the filter; or the first of them."""
        beyond = f"FROM message WHERE {_is(identity)} AND seq > {floor}"
        found = self._query.table(
            f"SELECT (SELECT max(seq) {beyond}) AS high, (SELECT list(seq ORDER BY seq) FROM "  # noqa: S608 - quoted
            f"(SELECT seq {beyond} AND {self._condition} ORDER BY seq LIMIT {MOST})) AS numbers"
        )
        numbers = found["numbers"].combine_chunks().flatten().to_numpy(zero_copy_only=False).astype(np.int64)
        high = found["high"][0].as_py()
        return int(numbers[-1]) if len(numbers) == MOST else floor if high is None else int(high), numbers

    def _rows(self, identity: Identity, numbers: Array) -> pa.Table:
        """The messages with these sequence numbers (ascending)."""
        rows = self._query.table(
            f"SELECT * FROM message WHERE {_is(identity)} AND seq BETWEEN {numbers[0]} AND {numbers[-1]} "  # noqa: S608 - quoted
            f"AND {self._condition} ORDER BY seq"
        )
        return rows.filter(pa.array(np.isin(rows["seq"].to_numpy(), numbers)))


def _order(identity: Identity) -> tuple[int, str, str]:
    return (identity.session, identity.node, identity.source)


def _is(identity: Identity) -> str:
    return f"node = {literal(identity.node)} AND session = {identity.session} AND source = {literal(identity.source)}"


def _of(rows: pa.Table, identity: Identity) -> pa.Array:
    """Mask of the rows of an identity."""
    mask = pc.and_(pc.equal(rows["node"], identity.node), pc.equal(rows["source"], identity.source))
    return pc.and_(mask, pc.equal(rows["session"], identity.session)).combine_chunks().to_numpy(zero_copy_only=False)
