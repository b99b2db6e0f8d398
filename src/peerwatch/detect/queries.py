"""SQL that shows the rows behind a finding. Only numbers and the node's configured name get into it, never what peers say."""

from __future__ import annotations

from collections.abc import Iterable

NAMED_PEERS = 64
"""Peers that one query names at most."""


def rows_of_peers(table: str, node: str, peers: Iterable[int], times: tuple[int, int], session: int = 0) -> str:
    """Rows of `table` that `peers` sent to the node within `times` (first and last, ns UTC).

    `session` is that in which the peers are numbered: the node's next process numbers others alike. 0 when it is not known.

    >>> rows_of_peers("ping", "a", [3], (1, 9), session=7)
    "SELECT * FROM ping WHERE node = 'a' AND session = 7 AND inbound AND peer IN (3) AND ts BETWEEN 1 AND 9 ORDER BY ts, seq"
    """
    named = ", ".join(str(int(peer)) for _, peer in zip(range(NAMED_PEERS), peers, strict=False))
    numbered = f" AND session = {int(session)}" if session else ""
    return (
        f"SELECT * FROM {table} WHERE node = {_quoted(node)}{numbered} AND inbound AND peer IN ({named})"  # noqa: S608 - table is ours
        f" AND ts BETWEEN {int(times[0])} AND {int(times[1])} ORDER BY ts, seq"
    )


def rows_of_time(table: str, node: str, first_ts: int, last_ts: int) -> str:
    """Rows of `table` of the node in a time (ns UTC).

    >>> rows_of_time("loss", "it's", 1, 9)
    "SELECT * FROM loss WHERE node = 'it''s' AND ts BETWEEN 1 AND 9 ORDER BY ts, seq"
    """
    return (
        f"SELECT * FROM {table} WHERE node = {_quoted(node)}"  # noqa: S608 - table is ours
        f" AND ts BETWEEN {int(first_ts)} AND {int(last_ts)} ORDER BY ts, seq"
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
