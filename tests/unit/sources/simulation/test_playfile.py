"""Writing play files."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest

from peerwatch.schema.batch import Array
from peerwatch.sources.simulation.events import NUMBER, Events, Name
from peerwatch.sources.simulation.pieces import Pieces
from peerwatch.sources.simulation.playfile import PlayError, PlayWriter
from peerwatch.sources.usdt.probes import HEADER, PLAY_EXIT, PLAY_RESTART, PROBES

START = 1_700_000_000_000_000_000
NAMES = {7: Name(b"203.0.113.7:8333", b"inbound"), -1: Name(b"[2001:db8::1]:8333", b"manual")}


def messages(payloads: list[bytes], peers: list[int] | None = None, type_: bytes = b"inv") -> Events:
    """Inbound messages, one a microsecond."""
    head = np.zeros(len(payloads), HEADER)
    bodies = Pieces.of_bytes(payloads)
    head["ts"] = START + np.arange(len(payloads)) * 1000
    head["peer"] = peers or [7] * len(payloads)
    head["size"] = head["kept"] = bodies.size
    head["type"] = np.void(type_.ljust(16, b"\0"))
    return Events(head, bodies)


def other(name: str, ts: int, *values: object) -> Events:
    """One event of a probe that is not a message."""
    body: Array = np.array([values], PROBES[NUMBER[name]].body)
    head = np.zeros(1, HEADER)
    head["ts"], head["probe"], head["kept"] = ts, NUMBER[name], body.itemsize
    return Events(head, Pieces.of_rows(body.view(np.uint8).reshape(1, -1)))


def written(*events: Events, thread: int = 0) -> bytes:
    file = io.BytesIO()
    writer = PlayWriter(file, START)
    for e in events:
        writer.write(e, NAMES, thread)
    return file.getvalue()


def text(value: bytes) -> bytes:
    return struct.pack("<H", len(value)) + value


def record(at: int, probe: int, thread: int, body: bytes) -> bytes:
    return struct.pack("<QBBHI", at, probe, thread, 0, len(body)) + body + bytes(-len(body) % 8)


def test_the_header_is_magic_and_start() -> None:
    """16 bytes: PWPLAY1, a line feed, and when playing begins."""
    assert written() == b"PWPLAY1\n" + struct.pack("<Q", START)


@pytest.mark.parametrize("payload", [b"", b"x", b"seven b", b"eight by", bytes(1000)])
def test_a_message_is_its_arguments_in_order_padded_to_eight_bytes(payload: bytes) -> None:
    """Peer, address, connection type, type, size, then the payload itself."""
    body = struct.pack("<q", -1) + text(b"[2001:db8::1]:8333") + text(b"manual") + text(b"inv") + struct.pack("<Q", len(payload))
    assert written(messages([payload], [-1]), thread=3)[16:] == record(0, 0, 3, body + payload)


def test_integers_texts_and_hashes_have_their_places() -> None:
    """Integers are 8 bytes whatever the width of the argument, texts are as long as they are, hashes 32 bytes."""
    event = other("mempool:removed", START + 5, b"\x11" * 32, b"expiry", -3, 1 << 40, 12)
    expected = b"\x11" * 32 + text(b"expiry") + struct.pack("<qqQ", -3, 1 << 40, 12)
    assert written(event)[16:] == record(5, NUMBER["mempool:removed"], 0, expected)


def test_different_probes_stay_in_the_order_of_events() -> None:
    """Records are encoded a probe at a time, and still written as they came."""
    flush = other("utxocache:flush", START + 1000, 1, 2, 3, 4, 1)
    events = Events.joined([messages([b"a", b"b"]), flush, messages([b"c"])])
    events.head["ts"] = START + np.array([0, 1, 1, 9])
    alone = [written(events.take(np.array([i])))[16:] for i in range(4)]
    assert written(events)[16:] == b"".join(alone)


def test_pieces_written_one_by_one_make_the_same_file() -> None:
    """It does not matter how events are cut into calls."""
    events = messages([bytes([i]) * i for i in range(50)])
    assert written(events) == written(*(events.take(np.array([i])) for i in range(50)))


@pytest.mark.parametrize("layout", ["shared", "unordered", "overlapping", "gaps"])
def test_payloads_may_lie_anywhere(layout: str) -> None:
    """Payloads that share bytes, lie in another order, within each other, or apart, are written as they read."""
    rng = np.random.default_rng(5)
    buf = rng.integers(0, 256, 400, np.uint8)
    start, size = {
        "shared": ([0, 100, 0, 100, 0], [100, 50, 100, 50, 100]),
        "unordered": ([300, 0, 120, 40], [100, 40, 5, 80]),
        "overlapping": ([0, 10, 20, 15], [100, 30, 0, 300]),
        "gaps": ([1, 90, 91, 200], [3, 0, 7, 100]),
    }[layout]
    pieces = Pieces(buf, np.array(start), np.array(size))
    events = messages([b""] * len(start))
    events.head["size"] = events.head["kept"] = size
    expected = [buf[a : a + n].tobytes() for a, n in zip(start, size, strict=True)]
    assert written(Events(events.head, pieces)) == written(messages(expected))


def test_commands_are_records_without_a_body() -> None:
    """Exit and restart stand where a probe's number does."""
    file = io.BytesIO()
    writer = PlayWriter(file, START)
    writer.command(PLAY_RESTART, START + 1)
    writer.command(PLAY_EXIT, START + 2)
    assert file.getvalue()[16:] == record(1, PLAY_RESTART, 0, b"") + record(2, PLAY_EXIT, 0, b"")


def test_each_event_may_have_a_thread() -> None:
    """`thread` is one number, or one an event."""
    file = io.BytesIO()
    PlayWriter(file, START).write(messages([b"", b""]), NAMES, np.array([4, 200], np.uint8))
    assert (file.getvalue()[16 + 9], file.getvalue()[-64 + 9]) == (4, 200)


def test_events_must_be_in_order_of_time() -> None:
    """Within a call, between calls, and for commands."""
    events = messages([b"a", b"b"])
    with pytest.raises(PlayError, match="order"):
        written(events.take(np.array([1, 0])))
    with pytest.raises(PlayError, match="order"):
        written(events, events)
    writer = PlayWriter(io.BytesIO(), START)
    with pytest.raises(PlayError, match="order"):
        writer.command(PLAY_EXIT, START - 1)


def test_what_the_player_would_refuse_is_refused() -> None:
    """Cut payloads, peers without a name, texts with a zero byte, and integers beyond their argument."""
    cut = messages([b"abc"])
    cut.head["size"] = 4
    with pytest.raises(PlayError, match="lacks a part"):
        written(cut)
    with pytest.raises(PlayError, match="peer 8 has no name"):
        written(messages([b""], [8]))
    with pytest.raises(PlayError, match="zero byte"):
        PlayWriter(io.BytesIO(), START).write(messages([b""]), {7: Name(b"a\0b", b"inbound")})
    with pytest.raises(PlayError, match="coinbase"):
        written(other("utxocache:add", START, bytes(32), 0, 0, 0, 2))
    with pytest.raises(PlayError, match="height"):
        written(other("utxocache:add", START, bytes(32), 0, 1 << 32, 0, 0))
    with pytest.raises(PlayError, match="vsize"):
        written(other("mempool:added", START, bytes(32), -(1 << 31) - 1, 0))
    with pytest.raises(PlayError, match="too long"):
        PlayWriter(io.BytesIO(), START).write(messages([b""]), {7: Name(b"a" * 1025, b"inbound")})


def test_a_type_ends_at_its_first_zero_byte() -> None:
    """As everywhere that a type stands NUL-padded."""
    assert written(messages([b""], type_=b"tx\0b")) == written(messages([b""], type_=b"tx"))


def test_no_events_are_nothing() -> None:
    """An empty stretch of time writes no byte."""
    assert len(written(messages([]))) == 16
