"""Lists, whose they are, and what they say."""

from __future__ import annotations

import numpy as np

from peerwatch.peers.inventories import GETDATA, INV, MSG_WTX, NOTFOUND, WITNESS, Lists
from peerwatch.peers.states import TYPE
from peerwatch.peers.stretch import Arrivals, Messages, Stretch
from tests.builders import Stream, at


def test_lists() -> None:
    """Each has the connection, side and kind of its message, and its entries; those without room are left out, but for what does
    not exist; a list without entries is none.
    """
    stream = Stream()
    for peer, kind, inbound, numbers in (
        (1, "inv", True, [MSG_WTX, 1 | WITNESS]),
        (2, "getdata", False, [2 | WITNESS, 1]),
        (3, "notfound", True, []),
        (3, "notfound", True, [1]),
        (4, "inv", True, [77, MSG_WTX]),
    ):
        row = {"peer": peer, "inbound": inbound, "message": kind}
        rows = [row | {"idx": i, "kind": number, "item": peer * 10 + i} for i, number in enumerate(numbers)]
        stream.message(at(0), peer, kind, inbound=inbound, inventory=rows)
    batch = stream.batch()
    stretch = Stretch(Arrivals(batch.tables, batch.event_of, batch.events, batch.events, 100), 0, 5)
    codes = np.array([TYPE[name] for name in ("inv", "getdata", "notfound", "notfound")], np.int16)
    four = np.arange(4)
    lists = Lists(stretch, Messages(four, four + 100, four + 7, np.array([1, 0, 1, 1]), codes))
    assert lists.list.tolist() == [INV, GETDATA, NOTFOUND]
    assert lists.ordinal.tolist() == [100, 101, 103]
    assert lists.slot.tolist() == [7, 8, 10]
    assert lists.side.tolist() == [1, 0, 1]
    assert lists.others.tolist() == [2]
    assert lists.of(lists.others).tolist() == [1]
    assert lists.strange.tolist() == [4]
    assert lists.transactions().tolist() == [2, 1, 1]
    said = lists.speaking(np.array([0, 1, 2]))
    assert said.item.tolist() == [10, 11, 21, 30]
    assert said.of.tolist() == [0, 0, 1, 2]
    assert said.entry.tolist() == [0, 1, 3, 4]
    assert lists.speaking(np.array([1])).ordinal.tolist() == [101]
    assert len(lists) == 3


def test_none() -> None:
    """Without rows there are no lists."""
    none = np.zeros(0, np.int64)
    stretch = Stretch(Arrivals({}, {}, np.array([5]), np.array([5]), 0), 0, 1)
    assert len(Lists(stretch, Messages(none, none, none, none, none))) == 0
