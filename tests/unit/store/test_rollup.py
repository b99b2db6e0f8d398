"""Tests of roll-ups."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from peerwatch.schema.batch import SECOND
from peerwatch.schema.table import Identity
from peerwatch.store.rollup import HOUR, MINUTE, Rollup

WHO = Identity("n", 7, "usdt")

message = st.tuples(
    st.integers(-2 * HOUR, 2 * HOUR),
    st.integers(0, 3),
    st.booleans(),
    st.sampled_from(["inv", "tx", "*other*"]),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)


def plain(messages: list[tuple], first: int) -> pa.Table:
    """Messages as the sealer hands them over."""
    ts, peer, inbound, kind, size, bad = zip(*messages, strict=True)
    return pa.table(
        {
            "ts": pa.array([t * SECOND + 1 for t in ts], pa.int64()),
            "seq": pa.array(range(first, first + len(ts)), pa.int64()),
            "peer": pa.array(peer, pa.int64()),
            "inbound": pa.array(inbound),
            "type": pa.array(kind),
            "size": pa.array(size, pa.uint32()),
            "error": pa.array(["trailing" if b else None for b in bad], pa.utf8()),
        }
    )


@given(st.lists(message, min_size=1, max_size=60), st.integers(1, 20))
def test_intervals_hold_what_was_in_them(messages: list[tuple], piece: int) -> None:
    """Counts, bytes and errors per peer, direction, type and interval equal those counted one by one, however it was cut."""
    rollup = Rollup()
    for first in range(0, len(messages), piece):
        rollup.add(plain(messages[first : first + piece], first))
    rows = [row for batch in rollup.rows(WHO) for row in batch.to_pylist()]
    for width in (MINUTE, HOUR):
        expected: Counter[tuple] = Counter()
        for ts, peer, inbound, kind, size, bad in messages:
            key = (ts // width * width * SECOND, peer, inbound, kind)
            expected.update({(*key, "messages"): 1, (*key, "bytes"): size, (*key, "errors"): int(bad)})
        found = {
            (r["ts"], r["peer"], r["inbound"], r["type"], what): r[what]
            for r in rows
            if r["width"] == width
            for what in ("messages", "bytes", "errors")
        }
        assert found == dict(expected)
    assert {(r["node"], r["session"], r["source"]) for r in rows} == {("n", 7, "rollup")}
    assert len({r["seq"] for r in rows}) == len(rows)


def test_sequence_numbers_follow_from_the_messages() -> None:
    """Twice the first message's, and one more for an hour: unique over all segments without a count that must be kept."""
    messages = [(0, 1, True, "inv", 1, False), (1, 1, True, "inv", 1, False), (61, 1, True, "inv", 1, False)]
    rollup = Rollup()
    rollup.add(plain(messages, 40))
    minutes, hours = rollup.rows(WHO)
    assert minutes.column("seq").to_pylist() == [80, 84]
    assert hours.column("seq").to_pylist() == [81]
    assert hours.column("messages").to_pylist() == [3]


def test_many_pieces_take_no_more_memory_than_their_intervals() -> None:
    """Partial sums are added up on the way."""
    rollup = Rollup()
    for i in range(500):
        rollup.add(plain([(i % 3, 1, True, "inv", 5, False)], i))
    assert sum(t.num_rows for t in rollup._partial) < 100
    (minute,), (hour,) = ([b.to_pylist()[0]] for b in rollup.rows(WHO))
    assert (minute["messages"], hour["messages"], hour["bytes"]) == (500, 500, 2500)


def test_no_messages_give_no_rows() -> None:
    """A segment without messages has no roll-up."""
    assert Rollup().rows(WHO) == []
