"""Raw messages become rows: order, identity, errors; and agreement on real traffic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import btclib.p2p as oracle
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerwatch.schema.registry import all_tables
from peerwatch.sources.capture import CaptureSource
from peerwatch.wire.dissect import dissect
from peerwatch.wire.keyed_hash import keyed_hash
from peerwatch.wire.raw import RawMessages
from peerwatch.wire.registry import dissector_of_type
from tests.reference.decode import IDENTITY, KEY, Sent, decode, dissected, layouts, raw

CAPTURES = sorted(p.parent for p in (Path(__file__).parents[2] / "data/captures").glob("*/expected.json"))
MALFORMED = {
    "addr_relay-node0": ["over_limit"],
    "addrv2_relay-node0": ["over_limit"],
    "compactblocks-node0": ["index_overflow"],
    "filter-node0": ["over_limit"] * 3,
    "ping-node0": ["truncated"],
}
"""What is wrong on purpose in the captures: lists of 1010 addresses, an index beyond its block, bloom filters and elements too
long, and an empty pong."""
READ_BY_BTCLIB = {"addr", "addrv2", "ping", "pong", "version", "inv", "getdata", "notfound"}
"""Compared with it here; all others in tests/wireproof."""

each_capture = pytest.mark.parametrize("capture", CAPTURES, ids=lambda p: p.name)


def messages(capture: Path) -> list[Sent]:
    """All messages of a capture, whole."""
    source, sent = CaptureSource(capture, "alice"), []
    while (chunks := source.read()) is not None:
        for m in (chunk.messages for chunk in chunks):
            for code, start, size in zip(m.type.tolist(), m.start.tolist(), m.size.tolist(), strict=True):
                sent.append((m.names[code], m.buf[start : start + size].tobytes(), size))
    return sent


@each_capture
def test_real_messages_are_well_formed(capture: Path) -> None:
    """No message of a real node has an error, but those that are malformed on purpose."""
    found = [error for _, error in dissected(raw(messages(capture))) if error]
    assert found == MALFORMED.get(capture.name, [])


@each_capture
def test_real_messages_are_as_the_plain_decoder_reads_them(capture: Path) -> None:
    """Every row and error of real traffic equals that of the plain decoder; types without a dissector have neither."""
    sent = messages(capture)
    expected = [decode(*s) if s[0] in layouts() else ([], None) for s in sent]
    assert dissected(raw(sent)) == expected


def _oracle(kind: str, payload: bytes) -> list[tuple[Any, ...]]:
    """What btclib reads in a message, as values of our columns."""
    if kind == "addr":
        entries = oracle.Addr.parse(payload).addresses
        return [(e.timestamp, int(e.address.services), e.address.ip.packed, e.address.port) for e in entries]
    if kind == "addrv2":
        return [(e.timestamp, int(e.services), e.address, e.port) for e in oracle.AddrV2.parse(payload).addresses]
    if kind in ("ping", "pong"):
        return [({"ping": oracle.Ping, "pong": oracle.Pong}[kind].parse(payload).nonce,)]
    if kind == "version":
        v = oracle.Version.parse(payload)
        return [(v.version, int(v.services), v.timestamp, v.nonce, v.user_agent.decode(), v.start_height, v.relay)]
    items = {"inv": oracle.Inv, "getdata": oracle.GetData, "notfound": oracle.NotFound}[kind].parse(payload).items
    # btclib shows hashes as explorers do, reversed
    ids = np.array([list(i.hash[::-1]) for i in items], np.uint8).reshape(-1, 32)
    return list(zip([int(i.type_code) for i in items], keyed_hash(ids, KEY).tolist(), strict=True))


def _ours(kind: str, row: dict[str, Any]) -> tuple[Any, ...]:
    if kind == "addrv2":
        address = row["key"] or (row["ip"][12:] if row["network"] == "ipv4" else row["ip"])
        return row["time"], row["services"], address, row["port"]
    names = {
        "addr": ("time", "services", "ip", "port"),
        "version": ("protocol", "services", "time", "nonce", "user_agent", "start_height", "relay"),
        "ping": ("nonce",),
        "pong": ("nonce",),
    }.get(kind, ("kind", "item"))
    return tuple(row[name] for name in names)


@each_capture
def test_real_messages_are_as_btclib_reads_them(capture: Path) -> None:
    """An independent implementation reads the same in every well-formed message."""
    sent = [s for s in messages(capture) if s[0] in READ_BY_BTCLIB]
    for (kind, payload, _), (rows, error) in zip(sent, dissected(raw(sent)), strict=True):
        if error is None:
            assert [_ours(kind, row) for row in rows] == _oracle(kind, payload)


def test_captures_hold_what_the_tests_want() -> None:
    """All twelve captures are there, and hold every dissected type but a few that no scenario sends."""
    assert len(CAPTURES) == 12
    kinds = {kind for capture in CAPTURES for kind, _, _ in messages(capture)}
    missing = {"notfound", "getblocks", "sendtxrcncl", "reqsketchext", "reject", "alert"}
    assert set(dissector_of_type()) - kinds == missing


some_messages = st.lists(
    st.sampled_from([*dissector_of_type(), "tx", "odd"]).flatmap(
        lambda kind: st.tuples(st.just(kind), layouts()[kind].payloads(kind) if kind in layouts() else st.binary(max_size=9))
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(sent=some_messages)
def test_rows_are_in_order_of_arrival(sent: list[tuple[str, bytes]]) -> None:
    """In every table rows follow their messages' order and `idx`, also where several dissectors fill it, and carry their
    message's identity, time, peer and direction.
    """
    messages_ = raw([(kind, payload, len(payload)) for kind, payload in sent])
    made = dissect(IDENTITY, messages_, KEY)
    assert next(iter(made.tables)) == "message"
    assert made.tables["message"].num_rows == len(sent)
    for name, batch in made.tables.items():
        of = made.message_of[name]
        assert batch.schema == all_tables()[name].arrow
        assert batch.num_rows == len(of)
        assert batch.num_rows or name == "message"
        place = list(
            zip(of.tolist(), batch.column("idx").to_pylist() if "idx" in batch.schema.names else of.tolist(), strict=True)
        )
        assert place == sorted(place)
        for column in ("ts", "seq", "peer", "inbound"):
            assert batch.column(column).to_pylist() == getattr(messages_, column)[of].tolist()
        assert set(batch.column("node").to_pylist()) <= {"alice"}


def test_the_message_table() -> None:
    """Every message has a row with its type, sizes and error; unknown types are kept by name."""
    made = dissect(IDENTITY, raw([("ping", bytes(3), 3), ("odd", b"xy", 7), ("sendpackages", b"", 0)]), KEY).tables["message"]
    columns = ("type", "size", "kept", "unreadable", "error")
    rows = [tuple(row[c] for c in columns) for row in made.to_pylist()]
    assert rows == [("ping", 3, 3, False, "truncated"), ("odd", 7, 2, False, None), ("sendpackages", 0, 0, False, None)]


def test_unreadable_messages() -> None:
    """Nothing is known of a message that could not be read, and nothing is wrong with it."""
    whole = raw([("ping", bytes(8), 8)] * 3)
    messages_ = replace(whole, kept=np.array([8, 0, 8]), unreadable=np.array([False, True, False]))
    made = dissect(IDENTITY, messages_, KEY)
    assert made.tables["message"].column("error").null_count == 3
    assert made.message_of["ping"].tolist() == [0, 2]


def test_nothing_to_dissect() -> None:
    """No messages make an empty message table and no other."""
    made = dissect(IDENTITY, RawMessages.none(), KEY)
    assert {name: t.num_rows for name, t in made.tables.items()} == {"message": 0}


def _cut(messages_: RawMessages, sizes: Iterator[int]) -> Iterator[RawMessages]:
    first = 0
    while first < len(messages_):
        stop = first + next(sizes)
        yield messages_.slice(first, stop)
        first = stop


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_batching_does_not_matter(size: int) -> None:
    """The same messages in batches of any size give the same rows."""
    messages_ = raw(messages(CAPTURES[0])[:1500])
    whole = dissect(IDENTITY, messages_, KEY).tables
    rows: dict[str, list[Any]] = {name: [] for name in whole}
    for part in _cut(messages_, iter(lambda: size, 0)):
        for name, batch in dissect(IDENTITY, part, KEY).tables.items():
            rows[name] += batch.to_pylist()
    assert rows == {name: batch.to_pylist() for name, batch in whole.items()}
