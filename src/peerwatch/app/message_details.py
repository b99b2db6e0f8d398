"""What messages say: their rows in the tables that they are dissected into, and the addresses of their peers.

A few queries for all messages of a page, never one a message.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from peerwatch.app.describe import DESCRIPTIONS
from peerwatch.app.message_filter import literal
from peerwatch.schema.registry import all_tables
from peerwatch.store.query import Query
from peerwatch.wire.registry import dissector_of_type

IDENTITY = ("node", "session", "source")
_WHO = ", ".join(IDENTITY)
_KNOWN = {*IDENTITY, "ts", "seq", "peer", "inbound"}
"""Columns that the rows of a message share with it."""

MOST_ADDRESSES = 1 << 17
"""Connections whose address is remembered."""

_COUNTED = "_counted"
"""Ends the names of columns that are counted by; those of whole rows are the names of their tables."""

Key = tuple[str, int, str, int]
"""Node, session, source and sequence number: a message; with a peer id in the last place: a connection."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How much of messages that consist of entries (addresses, inventory) is wanted: how many of each kind, the first rows."""

    counts: bool = True
    entries: int | None = 0
    """None for all."""


@dataclass(frozen=True, slots=True)
class Dissected:
    """A message and what it says.

    `message` is its row of table `message`; `fields` its rows of other tables, without the columns that it has itself; `counts`
    says for a table of entries how many there are of each value of the column that describes them, most frequent first.
    """

    message: Mapping[str, Any]
    address: str | None
    fields: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    counts: Mapping[str, dict[Any, int]] = field(default_factory=dict)


class Details:
    """Looks details up in an archive."""

    def __init__(self, query: Query, wanted: Wanted) -> None:
        """Ask through `query`."""
        self._query = query
        self._wanted = wanted
        self._addresses: dict[Key, str] = {}

    def of(self, messages: pa.Table) -> list[Dissected]:
        """Messages, given as rows of `message`, with what they say; in their order.

        Raises:
            QueryError, ArchiveError: as Query.table.
        """
        rows = messages.to_pylist()
        if not rows:
            return []
        addresses = self._look_up_addresses(rows)
        fields: dict[Key, dict[str, list[dict[str, Any]]]] = {}
        counts: dict[Key, dict[str, dict[Any, int]]] = {}
        for name, key, n, value in self._look_up(rows):
            if n is None:
                fields.setdefault(key, {}).setdefault(name, []).append(value)
            else:
                counts.setdefault(key, {}).setdefault(name, {})[value] = n
        return [
            Dissected(row, addresses.get(_peer_key(row)), fields.get(_key(row), {}), counts.get(_key(row), {})) for row in rows
        ]

    def _look_up(self, messages: list[dict[str, Any]]) -> Iterator[tuple[str, Key, int | None, Any]]:
        """Table, message, and either a row of that table (n is None) or how many rows have a value of the column counted by.

        All tables are asked at once: what a query costs is mostly its beginning.
        """
        parts = {column: sql for name, of in _by_table(messages).items() for column, sql in self._parts(name, of)}
        if not parts:
            return
        sql = f"{_with(messages)} {' UNION ALL BY NAME '.join(parts.values())} ORDER BY {_WHO}, seq, idx, n DESC"
        found = self._query.table(sql)
        for column in parts:
            those = found.filter(found[column].is_valid()).select([*IDENTITY, "seq", "n", column])
            for row in those.to_pylist():
                yield column.removesuffix(_COUNTED), _key(row), row["n"], row[column]

    def _parts(self, name: str, of: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
        """What is asked of a table, as a column of the answer and the query that gives it."""
        description = DESCRIPTIONS[name]
        if description.by is None:
            yield name, _rows(name, of, "NULL::INTEGER")
            return
        if self._wanted.counts:
            column = f"{name}{_COUNTED}"
            counted = f"NULL::INTEGER AS idx, count(*) AS n, {description.by} AS {column}"
            yield column, f"SELECT {_WHO}, seq, {counted} {_from(name, of)} GROUP BY ALL"
        if self._wanted.entries != 0:
            some = "" if self._wanted.entries is None else f"AND idx < {self._wanted.entries}"
            for table in filter(None, (name, description.also)):
                yield table, f"{_rows(table, of, 'idx')} {some}"

    def _look_up_addresses(self, rows: Iterable[Mapping[str, Any]]) -> Mapping[Key, str]:
        """Addresses of the peers of messages. One that is not known yet is asked for again with the next page."""
        unknown = {_peer_key(row) for row in rows} - self._addresses.keys()
        if not unknown:
            return self._addresses
        if len(self._addresses) > MOST_ADDRESSES:
            self._addresses.clear()
            unknown = {_peer_key(row) for row in rows}
        sessions, peers = (", ".join(map(str, sorted({key[i] for key in unknown}))) for i in (1, 3))
        sql = (
            f"SELECT {_WHO}, peer, arg_max(address, ts) AS address FROM connection "  # noqa: S608 - numbers
            f"WHERE address IS NOT NULL AND session IN ({sessions}) AND peer IN ({peers}) GROUP BY ALL"
        )
        for row in self._query.table(sql).to_pylist():
            self._addresses[_peer_key(row)] = row["address"]
        return self._addresses


def _rows(table: str, of: list[dict[str, Any]], idx: str) -> str:
    """The rows of a table that belong to some messages, each as one value."""
    own = (f"{column} := {column}" for column in all_tables()[table].columns if column not in _KNOWN)
    return f"SELECT {_WHO}, seq, {idx} AS idx, NULL::BIGINT AS n, struct_pack({', '.join(own)}) AS {table} {_from(table, of)}"


def _by_table(rows: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Messages by the table that their types are dissected into."""
    dissectors = dissector_of_type()
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        dissector = dissectors.get(row["type"])
        if dissector is not None and dissector.table is not None:
            found.setdefault(dissector.table.name, []).append(row)
    return found


def _key(row: Mapping[str, Any]) -> Key:
    return (row["node"], row["session"], row["source"], row["seq"])


def _peer_key(row: Mapping[str, Any]) -> Key:
    return (row["node"], row["session"], row["source"], row["peer"])


def _with(messages: Iterable[Mapping[str, Any]]) -> str:
    """The keys of messages as a table `shown`. Numbers go as one text: thousands of literals would each be parsed and checked."""
    numbers: dict[tuple[str, int, str], list[int]] = {}
    for row in messages:
        numbers.setdefault((row["node"], row["session"], row["source"]), []).append(row["seq"])
    parts = [
        f"SELECT {literal(node)} AS node, {session}::BIGINT AS session, {literal(source)} AS source, "
        f"unnest(string_split('{','.join(map(str, sequence))}', ','))::BIGINT AS seq"
        for (node, session, source), sequence in numbers.items()
    ]
    return f"WITH shown AS ({' UNION ALL '.join(parts)})"


def _from(table: str, messages: list[dict[str, Any]]) -> str:
    """The rows of `table` that belong to those messages. Times and numbers bound what of the files is looked at."""
    times, numbers = ([row[column] for row in messages] for column in ("ts", "seq"))
    return (
        f"FROM {table} JOIN shown USING ({_WHO}, seq) WHERE ts BETWEEN {min(times)} AND {max(times)} "
        f"AND seq BETWEEN {min(numbers)} AND {max(numbers)}"
    )
