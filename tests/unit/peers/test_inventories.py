"""Entries of lists, and whose they are."""

from __future__ import annotations

import numpy as np

from peerwatch.peers.inventories import GETDATA, INV, MSG_WTX, NOTFOUND, WITNESS, Entries
from peerwatch.peers.states import TYPE
from peerwatch.peers.stretch import Arrivals, Messages, Stretch
from tests.builders import Stream, at


def test_entries() -> None:
    """Each has the connection, side and list of its message, and is a transaction or not; those without room have no list."""
    stream = Stream()
    for peer, kind, inbound, number in (
        (1, "inv", True, MSG_WTX),
        (2, "getdata", False, 2 | WITNESS),
        (3, "notfound", True, 1),
        (4, "inv", True, 77),
    ):
        row = {"peer": peer, "inbound": inbound, "idx": 0, "message": kind, "kind": number, "item": peer * 10}
        stream.message(at(0), peer, kind, inbound=inbound, inventory=[row])
    batch = stream.batch()
    stretch = Stretch(Arrivals(batch.tables, batch.event_of, batch.events, batch.events, 100), 0, 4)
    codes = np.array([TYPE[name] for name in ("inv", "getdata", "notfound")], np.int16)
    three = np.arange(3)
    entries = Entries(stretch, Messages(three, three + 100, three + 7, np.array([1, 0, 1]), codes))
    every = np.arange(4)
    assert entries.list().tolist() == [INV, GETDATA, NOTFOUND, 0]
    assert entries.slot(every)[:3].tolist() == [7, 8, 9]
    assert entries.side(every)[:3].tolist() == [1, 0, 1]
    assert entries.is_tx.tolist() == [True, False, True, False]
    assert entries.others.tolist() == [1, 3]
    assert entries.strange().tolist() == [103]
    assert entries.item.tolist() == [10, 20, 30, 40]
    assert len(entries) == 4


def test_none() -> None:
    """Without rows there are no entries."""
    none = np.zeros(0, np.int64)
    stretch = Stretch(Arrivals({}, {}, np.array([5]), np.array([5]), 0), 0, 1)
    assert len(Entries(stretch, Messages(none, none, none, none, none))) == 0
