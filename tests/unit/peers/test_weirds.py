"""Sums of what is weird, and the closed set of its kinds."""

from __future__ import annotations

import numpy as np
import pytest

from peerwatch.peers import weirds
from peerwatch.peers.connections import Connections
from peerwatch.peers.weirds import HEAD, KINDS, NOBODY, all_kinds
from peerwatch.wire.dissect import dissect
from peerwatch.wire.dissector import WireError
from peerwatch.wire.keyed_hash import KEY_BYTES
from tests.builders import Stream, at
from tests.reference.decode import IDENTITY, raw
from tests.reference.talk import told


def test_kinds_are_documented() -> None:
    """Every wire error and every rule is a kind, once, with a sentence and a source."""
    kinds = all_kinds()
    assert {error.name.lower() for error in WireError} - {"none"} <= KINDS.keys()
    assert len({k.name for k in kinds}) == len(kinds) == len(KINDS)
    for kind in kinds:
        assert kind.meaning[0].isupper()
        assert kind.meaning.endswith(".")
        assert kind.source


def test_sums_by_peer_direction_type_and_second() -> None:
    """Messages of one second are one row, with time, number and size of the first; told with a later second's first event,
    whose time and number they have; or at the end with those of the last.
    """
    stream = Stream()
    for ts, peer, kind, inbound in (
        (0.1, 1, "tx", True), (0.2, 1, "tx", True), (0.3, 1, "tx", False), (0.4, 2, "tx", True), (0.5, 1, "inv", True),
        (1.2, 1, "tx", True),
    ):  # fmt: skip
        stream.message(at(ts), peer, kind, inbound=inbound, size=int(ts * 10), error="truncated")
    rows = told(stream, 100)["weird"]
    assert {(r["seq"], r["ts"]) for r in rows} == {(5, at(1.2))}
    assert [(r["peer"], r["type"], r["inbound"], r["count"], r["first"], r["first_ts"], r["size"]) for r in rows] == [
        (1, "tx", True, 2, 0, at(0.1), 1),
        (1, "tx", False, 1, 2, at(0.3), 3),
        (2, "tx", True, 1, 3, at(0.4), 4),
        (1, "inv", True, 1, 4, at(0.5), 5),
        (1, "tx", True, 1, 5, at(1.2), 12),
    ]
    batch = stream.batch()
    _, event_of = Connections("alice").feed(batch.identity, batch.tables, batch.event_of, batch.events, None)
    assert event_of["weird"].tolist() == [5, 5, 5, 5]


def test_the_first_bytes_are_kept() -> None:
    """At most 32 of them, exact, and through a snapshot; null when nothing was kept."""
    messages = raw([("pong", b"abc", 3), ("nonsense", bytes(range(100)), 100), ("nothing", b"", 0)])
    made = dissect(IDENTITY, messages, bytes(KEY_BYTES))
    connections = Connections("alice")
    connections.feed(IDENTITY, made.tables, made.message_of, messages.ts, messages)
    again = Connections("alice")
    again.restore(connections.snapshot())
    ((_, tables),) = again.finish()
    rows = tables["weird"].to_pylist()
    assert [(r["kind"], r["type"], r["head"]) for r in rows] == [
        ("truncated", "pong", b"abc"), ("unknown_type", "nonsense", bytes(range(HEAD))), ("unknown_type", "nothing", None),
    ]  # fmt: skip


def test_sums_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound nothing is dropped: it is added up by direction and kind."""
    monkeypatch.setattr(weirds, "SUMS", 3)
    stream = Stream()
    for peer in range(10):
        stream.message(at(0.1), peer, "tx", error="truncated")
        stream.message(at(0.2), peer, "tx", error="trailing", inbound=False)
    rows = told(stream, 7)["weird"]
    assert [(r["peer"], r["type"], r["kind"], r["count"]) for r in rows] == [
        (0, "tx", "truncated", 1), (0, "tx", "trailing", 1), (1, "tx", "truncated", 1),
        (NOBODY, "*other*", "trailing", 9), (NOBODY, "*other*", "truncated", 8),
    ]  # fmt: skip
    assert sum(r["count"] for r in rows) == 20


def test_a_peer_that_makes_up_types_fills_its_own_sums_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond its share a peer's are added up by kind; what others do wrong keeps its name."""
    monkeypatch.setattr(weirds, "PEER_SUMS", 4)
    stream = Stream()
    for number in range(50):
        stream.message(at(0.1), 1, f"odd{number}")
    stream.message(at(0.2), 2, "tx", error="trailing")
    for batch in (1, 51):
        rows = told(stream, batch)["weird"]
        assert [(r["peer"], r["type"], r["kind"], r["count"]) for r in rows] == [
            *((1, f"odd{n}", "unknown_type", 1) for n in range(4)), (1, "*other*", "unknown_type", 46), (2, "tx", "trailing", 1),
        ]  # fmt: skip


def test_one_message_counts_once_for_each_kind() -> None:
    """Several wrong rows of one message are one, and one message may be of several kinds."""
    stream = Stream()
    entry = {"peer": 1, "inbound": True, "message": "inv", "kind": 99, "item": 1}
    stream.message(at(0.1), 1, "inv", error="trailing", inventory=[entry | {"idx": i} for i in range(5)])
    assert [(r["kind"], r["count"]) for r in told(stream, 1)["weird"]] == [("trailing", 1), ("inventory_kind", 1)]
    assert np.unique(list(KINDS.values())).tolist() == list(range(len(KINDS)))
