"""What an archive holds: of each table how many rows, since when and until when, and what was removed of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from peerwatch.schema.registry import all_tables
from peerwatch.store import layout
from peerwatch.store.query import Query


@dataclass(frozen=True, slots=True)
class Held:
    """One table of an archive: its rows, the times of the first and last (ns UTC; None without rows), and the date up to which
    retention has removed rows, itself included (None when it has not).
    """

    table: str
    rows: int
    first: int | None
    last: int | None
    removed: str | None


def contents(archive: Path) -> list[Held]:
    """Every table of an archive, in alphabetical order.

    Raises:
        ArchiveError: it cannot be read.
        QueryError: it is too large to be counted in the time that a query may take.
    """
    query, removed = Query(archive), layout.read_meta(archive).removed
    parts = (f"SELECT '{name}' AS name, count(*) AS n, min(ts) AS first, max(ts) AS last FROM {name}" for name in all_tables())  # noqa: S608 - our own names
    rows = {row["name"]: row for row in query.table(" UNION ALL ".join(parts)).to_pylist()}
    return [Held(name, rows[name]["n"], rows[name]["first"], rows[name]["last"], removed.get(name)) for name in all_tables()]
