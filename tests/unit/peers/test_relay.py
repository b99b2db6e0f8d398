"""Transactions announced, asked for and delivered."""

from __future__ import annotations

from typing import Any

import pytest

from peerwatch.peers import relay
from tests.builders import Stream, at
from tests.reference.talk import told

IN, OUT = True, False


def items(stream: Stream, ts: float, kind: str, *what: int, inbound: bool, number: int = 5, **more: Any) -> None:
    """An inv, getdata or notfound about these items."""
    who = {"peer": 1, "inbound": inbound, "message": kind, "kind": number}
    stream.message(
        at(ts), 1, kind, inbound=inbound, inventory=[who | {"idx": i, "item": item} for i, item in enumerate(what)], **more
    )


def tx(stream: Stream, ts: float, txid: int, wtxid: int, *, inbound: bool = IN) -> None:
    """A transaction."""
    row = {
        "peer": 1, "inbound": inbound, "txid": bytes(32), "wtxid": bytes(32), "txid_item": txid, "wtxid_item": wtxid,
        "version": 2, "inputs": 1, "outputs": 1, "weight": 400, "witness": 0, "lock_time": 0,
    }  # fmt: skip
    stream.message(at(ts), 1, "tx", inbound=inbound, transaction=[row])


def begun() -> Stream:
    """A connection seen from its beginning."""
    stream = Stream()
    stream.opened(at(0.01), 1)
    for side in (IN, OUT):
        stream.version(at(0.02), 1, inbound=side)
        stream.message(at(0.03), 1, "verack", inbound=side)
    return stream


def weirds(stream: Stream, size: int = 1) -> list[tuple[str, int, int]]:
    """Kind, seq of the first, and count of what is weird."""
    return [(r["kind"], r["first"], r["count"]) for r in told(stream, size).get("weird", [])]


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_minute(size: int) -> None:
    """Counts and delays of one direction; asked for by txid or wtxid; what was not found; what was not asked for."""
    stream = begun()
    items(stream, 1.1, "inv", 1, 2, 3, 4, inbound=IN)
    items(stream, 1.2, "getdata", 1, 3, 4, inbound=OUT)
    items(stream, 1.25, "getdata", 12, inbound=OUT, number=1 | 1 << 30)
    tx(stream, 1.5, 11, 1)
    tx(stream, 1.6, 12, 2)
    tx(stream, 1.7, 13, 9)
    items(stream, 1.8, "notfound", 3, 99, inbound=IN)
    stream.message(at(61.5), 1, "ping")
    rows = told(stream, size)["relay"]
    first = {
        "announced": 4, "requested": 4, "delivered": 2, "not_found": 1, "unasked": 1, "unanswered": 0, "delay_sum": 650_000_000,
        "delay_max": 350_000_000,
    }  # fmt: skip
    late = dict.fromkeys(first, 0) | {"unanswered": 1}
    who = {"peer": 1, "inbound": True}
    assert rows == [
        {"ts": at(61.5), "seq": 12, **who, "minute": at(0), **first},
        {"ts": at(61.5), "seq": 12, **who, "minute": at(60), **late},
    ]
    assert weirds(stream, size) == [("tx_unrequested", 10, 1), ("notfound_unrequested", 11, 1)]


def test_late_is_not_unasked() -> None:
    """A transaction that comes after a minute was not answered in time, but it was asked for."""
    stream = begun()
    items(stream, 1.1, "getdata", 1, inbound=OUT)
    tx(stream, 70.5, 1, 1)
    for size in (1, 100):
        rows = told(stream, size)["relay"]
        assert [(r["requested"], r["delivered"], r["unasked"], r["unanswered"]) for r in rows] == [(1, 0, 0, 0), (0, 1, 0, 1)]
        assert weirds(stream, size) == []


def test_forgotten_requests_accuse_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """With too many that wait, or after too long, the node cannot say any more what it asked for."""
    monkeypatch.setattr(relay, "WAITING", 3)
    stream = begun()
    items(stream, 1.1, "getdata", 1, 2, 3, 4, inbound=OUT)
    tx(stream, 1.5, 1, 1)
    assert weirds(stream) == []
    assert told(stream, 1)["relay"][0]["unasked"] == 1
    stream = begun()
    items(stream, 1.1, "getdata", 1, inbound=OUT)
    tx(stream, 1300.5, 1, 1)
    assert weirds(stream) == []


def test_filtered_blocks_bring_transactions() -> None:
    """Who asks for a filtered block gets its transactions unasked (BIP 37)."""
    stream = begun()
    items(stream, 1.1, "getdata", 1, inbound=IN, number=3)
    tx(stream, 1.5, 7, 7, inbound=OUT)
    assert weirds(stream) == []


@pytest.mark.parametrize("size", [1, 100])
def test_asked_for_without_an_announcement(size: int) -> None:
    """By wtxid that is a probe; by txid it may be an orphan's parent; what was announced to that peer before is right."""
    stream = begun()
    items(stream, 1.1, "inv", 1, 2, inbound=OUT)
    items(stream, 1.2, "getdata", 1, 2, inbound=IN)
    items(stream, 1.3, "getdata", 1, 8, 9, inbound=IN)
    items(stream, 1.4, "getdata", 8, inbound=IN, number=1 | 1 << 30)
    items(stream, 1.5, "inv", 8, inbound=OUT)
    items(stream, 1.6, "getdata", 77, inbound=OUT)
    assert weirds(stream, size) == [("requested_unannounced", 7, 1), ("requested_unannounced_txid", 8, 1)]


@pytest.mark.parametrize("error", [None, "over_limit"])
def test_lists_that_were_cut(error: str | None) -> None:
    """What stood in the part that we did not keep may have been anything; one that its sender made too long is no excuse."""
    stream = begun()
    items(stream, 1.1, "inv", 1, inbound=OUT, size=73, kept=37, error=error)
    items(stream, 1.2, "getdata", 2, inbound=IN)
    assert ("requested_unannounced" in {kind for kind, _, _ in weirds(stream)}) == (error is not None)
