"""Nobody is accused because of events that were not seen: lost ones, those before the watcher, those after its snapshot."""

from __future__ import annotations

import json
from bisect import bisect
from functools import cache
from typing import Any

import numpy as np
import pytest

from peerwatch.peers.connections import Connections
from peerwatch.schema.batch import SECOND, Batch
from tests.builders import IDENTITY, Stream, at, cut

IN, OUT = True, False
GUILTY = ("unanswered", "superseded")


@cache
def honest() -> Batch:
    """Connections opened by either side that do everything as they should, for some minutes: every request has its answer."""
    stream = Stream()
    for n in range(40):
        peer, ours, ts = n % 4 + 10 * (n // 20), n % 4 > 1, 0.003 + n * 4.3
        if n // 4 in (0, 5):
            if ours:
                stream.version(at(ts), peer, inbound=False)
            stream.opened(at(ts + 0.001), peer, conn_type="outbound-full-relay" if ours else "inbound")
            if not ours:
                stream.version(at(ts + 0.001), peer, inbound=True)
            stream.version(at(ts + 0.002), peer, inbound=ours)
            for side in (IN, OUT):
                stream.message(at(ts + 0.003), peer, "verack", inbound=side)
        for side in (IN, OUT):
            exchange(stream, ts + 0.01 + side * 0.5, peer, n, side=side)
    return stream.batch()


@cache
def pauses() -> list[int]:
    """Numbers of the events before which all requests have been answered."""
    return (np.flatnonzero(np.diff(honest().events) > SECOND) + 1).tolist()


def after(first: int, talks: int = 3) -> int:
    """The end of some talk after this event."""
    return pauses()[bisect(pauses(), first) + talks]


def exchange(stream: Stream, ts: float, peer: int, n: int, *, side: bool) -> None:
    """One of each kind of request by `side`, and its answer."""
    for kind, row in (("ping", {"pong": False}), ("pong", {"pong": True})):
        inbound = side == (kind == "ping")
        stream.message(at(ts), peer, kind, inbound=inbound, ping=[{"peer": peer, "inbound": inbound, "nonce": n + 1} | row])
    for asks, answers in (("getheaders", "headers"), ("getheaders", "headers")):
        stream.message(at(ts + 0.1), peer, asks, inbound=side)
        stream.message(at(ts + 0.1), peer, answers, inbound=not side)
    for kind in ("cmpctblock", "getblocktxn", "blocktxn"):
        inbound = side == (kind == "getblocktxn")
        row = {"peer": peer, "inbound": inbound, "message": kind, "hash": bytes([n] * 32)}
        stream.message(at(ts + 0.2), peer, kind, inbound=inbound, block_relay=[row])
    for kind, what, number in (("inv", 5, 100 + n), ("getdata", 5, 100 + n), ("getdata", 2, 1000 + n)):
        inbound = side == (kind == "getdata")
        row = {"peer": peer, "inbound": inbound, "idx": 0, "message": kind, "kind": what, "item": number}
        stream.message(at(ts + 0.3), peer, kind, inbound=inbound, inventory=[row])
    plain = {"txid": bytes(32), "wtxid": bytes(32), "version": 2, "inputs": 1, "outputs": 1, "weight": 4, "witness": 0}
    row = plain | {"peer": peer, "inbound": not side, "txid_item": 100 + n, "wtxid_item": 100 + n, "lock_time": 0}
    stream.message(at(ts + 0.35), peer, "tx", inbound=not side, transaction=[row])
    stream.message(at(ts + 0.4), peer, "block", inbound=not side)


def accusations(tables: dict[str, Any]) -> list[Any]:
    """Rows that say that somebody did what he should not, or did not what he should."""
    rows = {name: table.to_pylist() for name, table in tables.items()}
    return [
        *rows.get("weird", []),
        *(r for r in rows.get("exchange", []) if r["outcome"] in GUILTY),
        *(r for r in rows.get("relay", []) if r["unanswered"]),
        *(r for r in rows.get("handshake", []) if not r["complete"]),
    ]


def fed(connections: Connections, batch: Batch) -> list[Any]:
    """Accusations that come of a batch."""
    return accusations(connections.feed(batch.identity, batch.tables, batch.event_of, batch.events, None)[0])


def judged(connections: Connections, *batches: Batch) -> list[Any]:
    """Accusations that come of batches, and of the time after them."""
    found = [a for batch in batches for a in fed(connections, batch)]
    stream = Stream()
    for minutes in (3, 60):
        stream.message(at(180 + minutes * 60), 99, "feefilter")
    found += fed(connections, stream.batch())
    return found + [a for _, tables in connections.finish() for a in accusations(tables)]


def part(first: int, stop: int) -> Batch:
    """Events of the honest talk."""
    whole, tables, event_of = honest(), {}, {}
    for name, rows in whole.tables.items():
        low, high = np.searchsorted(whole.event_of[name], (first, stop)).tolist()
        tables[name], event_of[name] = rows.slice(low, high - low), whole.event_of[name][low:high] - first
    return Batch(whole.identity, whole.watermark, tables, whole.events[first:stop], event_of)


def lost() -> Batch:
    """A row that says that events were lost."""
    stream = Stream()
    stream.loss(at(0.001), "dropped")
    return stream.batch()


def test_honest_traffic_is_honest() -> None:
    """Seen whole, nothing is wrong with what the other tests leave out parts of, but it is with those parts left out silently."""
    size = len(honest().events)
    assert judged(Connections("alice"), part(0, size)) == []
    guilty = [bool(judged(Connections("alice"), part(0, at), part(at + 1, after(at)))) for at in range(1, 100)]
    assert sum(guilty) > 40


@pytest.mark.parametrize("missed", [1, 2, 3, 17, 40])
def test_what_came_after_the_snapshot(missed: int) -> None:
    """A watcher was killed: its snapshot is older than what was recorded, and the source goes on after that."""
    going = Connections("alice")
    for first in range(1, 110):
        fed(going, part(first - 1, first))
        again = Connections("alice")
        again.restore(json.loads(json.dumps(going.snapshot())))
        assert judged(again, part(first + missed, after(first + missed))) == [], first


def test_without_a_snapshot() -> None:
    """A session that goes on midway accuses nobody because of what came before."""
    for first in range(1, 110):
        assert judged(Connections("alice"), part(first, after(first))) == [], first


@pytest.mark.parametrize("missed", [1, 2, 3, 17])
def test_what_was_lost(missed: int) -> None:
    """Once it is said that something was lost, nothing is held against anybody that it may explain."""
    for first in range(1, 110):
        batches = part(0, first), lost(), part(first + missed, after(first + missed))
        assert judged(Connections("alice"), *batches) == [], first


def test_nothing_is_told_twice() -> None:
    """Sums in a snapshot that the killed watcher may have told since are not told again; those of the same second are kept."""
    stream = Stream()
    for ts in (0.1, 0.2, 1.1, 1.2, 61.5):
        item = {"peer": 1, "inbound": True, "idx": 0, "message": "inv", "kind": 5, "item": 1}
        stream.message(at(ts), 1, "inv", error="trailing", inventory=[item])
    batches = list(cut(stream.batch(), 1))

    def told_after(resumed: int) -> list[tuple[str, int]]:
        first, again, rows = Connections("alice"), Connections("alice"), []
        first.feed(IDENTITY, batches[0].tables, batches[0].event_of, batches[0].events, None)
        again.restore(first.snapshot())
        for batch in batches[resumed:]:
            tables = again.feed(IDENTITY, batch.tables, batch.event_of, batch.events, None)[0]
            rows += [(name, r.get("count", r.get("announced"))) for name in sorted(tables) for r in tables[name].to_pylist()]
        return rows

    assert told_after(1) == [("weird", 2), ("relay", 4), ("weird", 2)]
    assert told_after(2) == [("relay", 3), ("weird", 2)]
    assert told_after(4) == []
