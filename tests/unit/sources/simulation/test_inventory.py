"""Lists of inventory."""

from __future__ import annotations

import numpy as np

from peerwatch.sources.simulation.inventory import MSG_TX, MSG_WITNESS_TX, MSG_WTX, entries, lists, one, runs
from tests.unit.sources.simulation.seen import apart, column, inventory


def test_entries_become_messages_by_run() -> None:
    """Entries of one moment and peer are one message, with their types and ids in order."""
    ids = np.arange(4, dtype=np.uint8)[:, None].repeat(32, axis=1)
    ts, peer = column([5, 5, 6, 6]), column([1, 1, 1, 2])
    rows = entries(column([MSG_TX, MSG_WTX, MSG_WITNESS_TX, MSG_TX]), ids)
    made = apart([lists(ts, peer, rows, runs(ts, peer), (False, "getdata"))]).messages

    assert [(m.ts, m.peer, m.inbound, m.kind) for m in made] == [
        (5, 1, False, "getdata"),
        (6, 1, False, "getdata"),
        (6, 2, False, "getdata"),
    ]
    assert [inventory(m.body) for m in made] == [
        [(1, b"\0" * 32), (5, b"\1" * 32)],
        [(0x40000001, b"\2" * 32)],
        [(1, b"\3" * 32)],
    ]


def test_no_entries_are_no_messages() -> None:
    """An empty list gives nothing."""
    none = column([])
    assert len(lists(none, none, np.zeros((0, 36), np.uint8), runs(none), (True, "inv"))) == 0
    assert runs(column([3, 3, 4]), column([1, 2, 2])).tolist() == [0, 1, 2]


def test_a_single_entry_is_spelled_out() -> None:
    """Count, type, id."""
    assert inventory(one(4, b"\7" * 32)) == [(4, b"\7" * 32)]
