"""Answers of `getorphantxs`."""

from __future__ import annotations

from peerwatch.sources.rpc._api import Known
from peerwatch.sources.rpc.readers.orphans import METHOD, Orphans
from tests.unit.sources.rpc.reading import answer, read


def test_orphans_count_for_each_announcer_and_once_for_all() -> None:
    """The sum over peers may be more than there are."""
    orphans = [{"bytes": 100, "from": [3, 5]}, {"bytes": 1000, "from": [3]}, {"bytes": 7, "from": []}]
    rows = read(Orphans(Known()), answer(METHOD, orphans))["orphan_state"]
    assert [(row["peer"], row["transactions"], row["bytes"]) for row in rows] == [(None, 3, 1107), (3, 2, 1100), (5, 1, 100)]


def test_no_orphans_are_a_row() -> None:
    """That there are none is told."""
    (row,) = read(Orphans(Known()), answer(METHOD, []))["orphan_state"]
    assert (row["peer"], row["transactions"], row["bytes"]) == (None, 0, 0)


def test_an_orphan_of_unknown_size_counts() -> None:
    """As one of no bytes, and the fields are named."""
    (row,) = read(reader := Orphans(Known()), answer(METHOD, [{"bytes": -1, "from": "me"}]))["orphan_state"]
    assert (row["transactions"], row["bytes"]) == (1, 0)
    assert reader.lacking() == ["getorphantxs.bytes", "getorphantxs.from"]
