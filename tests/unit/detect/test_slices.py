"""Rows of one second out of many."""

from __future__ import annotations

import numpy as np

from peerwatch.detect.slices import Whole
from peerwatch.schema.batch import Rows
from tests.builders import Stream, at, mapped


def rows() -> Whole:
    """Connections with nulls, texts, labels and times."""
    stream = Stream()
    for peer in range(10):
        named = None if peer % 3 == 0 else f"203.0.113.{peer}:8333"
        stream.opened(at(peer), peer, event="opened" if peer % 2 else "closed", address=named, conn_type=None)
    return Whole(stream.tables()["connection"])


def test_part_reads_as_a_slice_of_the_batch():
    """Every accessor gives what it gives for a batch that has only these rows."""
    whole = rows()
    part, alone = whole.slice(3, 8), Rows(whole.batch.slice(3, 5))
    assert len(part) == 5
    for name in whole.batch.schema.names:
        assert part[name].tolist() == alone[name].tolist()
        assert part.valid(name).tolist() == alone.valid(name).tolist()
    assert part.where("event", "opened").tolist() == alone.where("event", "opened").tolist()
    assert part.batch.equals(alone.batch)
    codes, values = part.codes("event")
    assert [values[c] for c in codes] == part["event"].tolist()


def test_columns_are_made_once():
    """Parts are views into the columns of the whole."""
    whole = rows()
    assert np.shares_memory(whole.slice(0, 4)["peer"], whole.slice(4, 9)["peer"].base)
    assert whole.codes("event")[0] is whole.codes("event")[0]
    assert whole.slice(0, 10) is whole


def test_fixed_size_binary():
    """Addresses come as bytes of shape (rows, 16)."""
    stream = Stream()
    stream.addr(at(0), 1, mapped(["1.2.3.4", "5.6.7.8", "9.9.9.9"]), [1, 2, 3])
    part = Whole(stream.tables()["address"]).slice(1, 3)
    assert part["ip"][:, 12:].tolist() == [[5, 6, 7, 8], [9, 9, 9, 9]]
