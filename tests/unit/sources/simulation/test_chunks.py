"""Windows become chunks."""

from __future__ import annotations

from typing import Any

import numpy as np

from peerwatch.schema.batch import SECOND
from peerwatch.schema.table import Identity
from peerwatch.sources.simulation.chunks import Chunks, after
from peerwatch.sources.simulation.events import Events, Name, Window, messages, ordered, probes
from peerwatch.sources.simulation.pieces import Pieces
from tests.unit.sources.simulation.seen import column

IDENTITY = Identity("alice", 5, "simulation")
NAMES = {7: Name(b"203.0.113.7:8333", b"inbound"), 8: Name(b"203.0.113.8:8333", b"outbound-full-relay")}


def said(*times: int, peer: int = 7) -> Events:
    return messages(column(list(times)), column([peer] * len(times)), True, "ping", Pieces.of_bytes([b"12345678"] * len(times)))


def opened(at: int, peer: int) -> Events:
    name = NAMES[peer]
    columns = {"peer": column([peer]), "address": name.address, "conn_type": name.conn_type, "open_connections": 9}
    return probes("net:outbound_connection", column([at]), columns)


def closed(at: int, peer: int) -> Events:
    return probes("net:closed_connection", column([at]), {"peer": column([peer]), "address": b"", "conn_type": b"inbound"})


def coins(name: str, *times: int) -> Events:
    return probes(f"utxocache:{name}", column(list(times)), {"height": 3})


def window(end: int, *parts: Events) -> Window:
    return Window(ordered(Events.joined(list(parts))), end, NAMES)


def test_peers_from_before_are_described_once() -> None:
    """Before its first message, and not again; one that was seen to connect is not described, and one that went is forgotten."""
    chunks = Chunks(IDENTITY)
    first = chunks.chunk(window(50, said(10, 20), opened(5, 8), said(6, peer=8)))
    second = chunks.chunk(window(90, said(60), closed(70, 7)))
    third = chunks.chunk(window(150, said(100)))

    rows = first.rows["connection"].to_pylist()
    assert [(r["event"], r["peer"], r["ts"], r["seq"]) for r in rows] == [("opened", 8, 5, 0), ("described", 7, 10, 2)]
    assert (rows[1]["address"], rows[1]["conn_type"], rows[1]["inbound"]) == ("203.0.113.7:8333", "inbound", True)
    assert [r["event"] for r in second.rows["connection"].to_pylist()] == ["closed"]
    assert [r["event"] for r in third.rows["connection"].to_pylist()] == ["described"]


def test_numbers_are_gapless_and_point_to_events() -> None:
    """Every event has one number, over messages and rows and chunks, in order of arrival."""
    chunks, numbers = Chunks(IDENTITY), []
    for n in range(3):
        chunk = chunks.chunk(
            window((n + 1) * 2 * SECOND, said(*(n * 2 * SECOND + t for t in (1, 5, SECOND))), coins("add", n * 2 * SECOND + 9))
        )
        here = np.full(len(chunk.events), -1)
        here[chunk.message_events] = chunk.messages.seq
        for table, batch in chunk.rows.items():
            here[chunk.row_events[table]] = batch.column("seq").to_numpy()
            assert batch.column("ts").to_numpy().tolist() == chunk.events[chunk.row_events[table]].tolist()
        assert chunk.events[chunk.message_events].tolist() == chunk.messages.ts.tolist()
        assert (np.diff(chunk.events) >= 0).all()
        numbers += here.tolist()
    assert numbers == list(range(len(numbers)))
    assert chunk.position == {"seq": len(numbers), "end": 6 * SECOND}


def test_coins_are_counted_by_the_second() -> None:
    """A row comes with the last nanosecond of a second that is over, however the time is cut, and with the end at the latest."""
    chunks = Chunks(IDENTITY)
    rows: list[dict[str, Any]] = []
    cuts = (window(SECOND // 2, coins("add", 1, 2), coins("spent", 3)), window(3 * SECOND // 2, coins("add", SECOND - 1, SECOND)))
    for chunk in (*(chunks.chunk(w) for w in cuts), chunks.finish(3 * SECOND // 2)):
        rows += chunk.rows["utxocache"].to_pylist() if "utxocache" in chunk.rows else []

    assert [(r["ts"], r["added"], r["spent"], r["uncached"]) for r in rows] == [
        (SECOND - 1, 3, 1, 0),
        (3 * SECOND // 2 - 1, 1, 0, 0),
    ]
    assert {r["event"] for r in rows} == {"second"}


def test_flushes_and_seconds_share_a_table_in_order() -> None:
    """Rows of both kinds are sorted by event."""
    flush = probes("utxocache:flush", column([SECOND + 5]), {"duration": 7, "mode": 2})
    batch = Chunks(IDENTITY).chunk(window(3 * SECOND, flush, coins("spent", 4, SECOND + 6))).rows["utxocache"]

    assert [(r["event"], r["seq"]) for r in batch.to_pylist()] == [("second", 0), ("flush", 1), ("second", 2)]


def test_the_end_can_say_what_is_missing() -> None:
    """The last chunk is marked, and carries a loss row when something was lost."""
    chunks = Chunks(IDENTITY)
    chunks.chunk(window(50, said(10)))
    chunk = chunks.finish(60, "The play file is damaged.")
    (row,) = chunk.rows["loss"].to_pylist()

    assert chunk.ended
    assert (row["kind"], row["ts"], row["seq"], row["reason"]) == ("truncated", 60, 2, "The play file is damaged.")
    assert chunk.row_events["loss"].tolist() == [0]
    assert Chunks(IDENTITY).finish(60).rows == {}


def test_a_chunk_can_be_cut_from_the_front() -> None:
    """What was recorded before is left out, of messages and of rows, and event numbers fit."""
    chunk = Chunks(IDENTITY).chunk(window(50, said(10, 20, 30), opened(15, 8)))
    rest = after(chunk, 2)

    assert rest.messages.seq.tolist() == [3, 4]
    assert rest.events[rest.message_events].tolist() == [20, 30]
    assert rest.rows["connection"].column("event").to_pylist() == ["opened"]
    assert rest.row_events["connection"].tolist() == [0]
    assert after(chunk, 0) is chunk
    assert len(after(chunk, 5).events) == 0
