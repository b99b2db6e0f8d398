"""SQL behind findings."""

from __future__ import annotations

import duckdb

from peerwatch.detect.queries import NAMED_PEERS, rows_of_peers, rows_of_time
from tests.builders import IDENTITY, Stream, at, mapped


def test_queries_run_and_select_what_they_say():
    """The database understands them, and they give the rows of the peers and the time."""
    stream = Stream()
    for peer in (1, 2, 3):
        stream.addr(at(peer), peer, mapped(["1.2.3.4"]), [1])
    stream.addr(at(3), 3, mapped(["1.2.3.4"]), [1], inbound=False)
    address = stream.tables()["address"]
    with duckdb.connect() as connection:
        connection.register("address", address)
        of_peers = connection.sql(rows_of_peers("address", "alice", [2, 3], (at(0), at(9)))).fetchall()
        mine, next_ = (
            connection.sql(rows_of_peers("address", "alice", [2, 3], (at(0), at(9)), IDENTITY.session + n)).fetchall()
            for n in (0, 1)
        )
        of_time = connection.sql(rows_of_time("address", "alice", at(2), at(9))).fetchall()
    assert (len(of_peers), len(of_time), len(mine), len(next_)) == (2, 3, 2, 0)


def test_bounded_and_quoted():
    """A name with quotes stays a name, and a query names a bounded number of peers."""
    query = rows_of_peers("address", "it's", range(500), (0, 1))
    assert "node = 'it''s'" in query
    assert query.count(",") == NAMED_PEERS - 1 + 1
