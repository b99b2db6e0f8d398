"""Chunks, the stretches they are cut into, and the rows that come of them."""

from __future__ import annotations

import numpy as np

from peerwatch.peers.states import TYPE, UNKNOWN
from peerwatch.peers.stretch import Arrivals, Output, Stretch, type_codes
from peerwatch.schema.batch import SECOND
from peerwatch.schema.tables.exchange import Exchange
from peerwatch.schema.tables.ping import Ping
from tests.builders import IDENTITY, START, Stream, at


def arrivals() -> Arrivals:
    """A connection, a loss, three messages, and what they say."""
    stream = Stream()
    stream.opened(at(0), 1)
    stream.message(at(1), 1, "ping", ping=[{"peer": 1, "inbound": True, "pong": False, "nonce": 3}])
    stream.loss(at(1), "dropped")
    stream.message(at(3.5), 1, "odd")
    stream.message(at(4), 1, "tx")
    batch = stream.batch()
    return Arrivals(batch.tables, batch.event_of, batch.events, batch.events, 1000)


def test_rows_of_a_stretch() -> None:
    """Rows of its events only, with their ordinals; none of tables that are not there, or lack a column."""
    stretch = Stretch(arrivals(), 1, 4)
    rows = stretch.rows("message", "peer", "type")
    assert rows is not None
    assert rows["type"].tolist() == ["ping", "odd"]
    assert stretch.ordinals("message").tolist() == [1001, 1003]
    assert stretch.start == 1001
    assert stretch.end == at(3.5)
    for name, column in (("connection", "peer"), ("inventory", "item"), ("ping", "nothing")):
        assert stretch.rows(name, column) is None


def test_events_and_messages() -> None:
    """The message and seq of an event; those without a message have none."""
    made = arrivals()
    assert made.row_of(np.array([1, 2, 3, 4])).tolist() == [0, -1, 1, 2]
    assert made.seq(np.arange(5)).tolist() == [0, 1, 2, 3, 4]
    assert made.head(0, 32) is None


def test_moments() -> None:
    """The first event past a time, and the first of a later second."""
    stretch = Stretch(arrivals(), 0, 5)
    assert stretch.moment(np.array([at(0), at(1), at(1) - 1])).tolist() == [1001, 1003, 1001]
    assert stretch.second_after(START + 1) == 3
    assert stretch.second_after(START + 4) is None
    assert stretch.in_order(np.array([1001, 1003])).tolist() == [False, True]


def test_type_codes() -> None:
    """Known types have the code of this package, whatever the source's; all others one."""
    assert type_codes(["tx", "nonsense", "*other*", "version"]).tolist() == [TYPE["tx"], UNKNOWN, UNKNOWN, TYPE["version"]]


def test_output() -> None:
    """Rows come out by event, with its time and number, those of one event as they were added; columns with labels likewise."""
    out = Output()
    for event, nonce in ((5, 1), (2, 2), (5, 3)):
        out.add(Ping, event, {"peer": 1, "inbound": True, "pong": False, "nonce": nonce})
    for at_event, kind in ((7, 1), (3, 0)):
        one = np.array([at_event])
        columns = {"peer": one, "kind": np.array([kind]), "inbound": one > 0, "outcome": np.array([0])}
        times = {"asked": one, "duration": one, "request": one}
        out.extend(Exchange, one, {**columns, **times}, {"kind": ["ping", "getaddr"], "outcome": ["answered"]})
    tables, events = out.built(IDENTITY, lambda events: (events * SECOND, events + 100))
    assert tables["ping"].column("ts").to_pylist() == [2 * SECOND, 5 * SECOND, 5 * SECOND]
    assert tables["exchange"].column("seq").to_pylist() == [103, 107]
    assert tables["ping"].column("nonce").to_pylist() == [2, 1, 3]
    assert events["ping"].tolist() == [2, 5, 5]
    assert tables["exchange"].column("kind").to_pylist() == ["ping", "getaddr"]
    assert events["exchange"].tolist() == [3, 7]
    for table in tables.values():
        table.validate(full=True)
