"""Reading play files."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwatch.sources.simulation import playreader
from peerwatch.sources.simulation.events import Events, Name
from peerwatch.sources.simulation.pieces import Pieces
from peerwatch.sources.simulation.playfile import PlayError, PlayWriter
from peerwatch.sources.simulation.playreader import Played, PlayReader
from peerwatch.sources.usdt.probes import ADDRESS, HEADER, PLAY_EXIT, PLAY_RESTART, PROBES, Kind, Probe
from peerwatch.wire.raw import PAD

START = 1_700_000_000_000_000_000


def random_events(rng: np.random.Generator, count: int) -> tuple[Events, dict[int, Name]]:
    """Events of all probes with random arguments, in order of time, and the names of their peers."""
    head, bodies = np.zeros(count, HEADER), []
    head["ts"] = START + np.sort(rng.integers(0, 10**12, count))
    head["probe"] = rng.integers(0, len(PROBES), count)
    head["seq"] = np.arange(count)
    names = {int(peer): Name(f"203.0.113.{i}:8333".encode(), b"inbound") for i, peer in enumerate(rng.integers(-9, 9**9, 5))}
    for event in head:
        probe = PROBES[event["probe"]]
        if event["probe"] < 2:
            bodies.append(rng.bytes(int(rng.integers(0, 300))))
            event["peer"] = rng.choice(list(names))
            event["type"] = np.void(rng.choice([b"inv", b"tx", b"sendaddrv2"]).ljust(16, b"\0"))
            event["size"] = len(bodies[-1])
        else:
            body = random_body(rng, probe)
            event["peer"] = body["peer"][0] if "peer" in (body.dtype.names or ()) else 0
            bodies.append(body.tobytes())
        event["kept"] = len(bodies[-1])
    return Events(head, Pieces.of_bytes(bodies)), names


def random_body(rng: np.random.Generator, probe: Probe) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    body = np.zeros(1, probe.body)
    for arg in probe.args:
        if arg.kind is Kind.TEXT:
            body[arg.name] = rng.bytes(int(rng.integers(0, arg.width - 1))).replace(b"\0", b"x")
        elif arg.kind is Kind.HASH:
            body[arg.name] = np.void(rng.bytes(32))
        else:
            bits = 1 if arg.width == 1 else 8 * arg.width
            low = -(1 << bits - 1) if arg.signed else 0
            body[arg.name] = low + int.from_bytes(rng.bytes(8), "little") % (1 << bits)
    return body


def read(raw: bytes) -> list[Played]:
    return list(PlayReader(io.BytesIO(raw)))


def bodies(events: Events) -> list[bytes]:
    pieces = events.bodies
    return [pieces.buf[a : a + n].tobytes() for a, n in zip(pieces.start.tolist(), pieces.size.tolist(), strict=True)]


@pytest.mark.parametrize("block", [1, 999, 1 << 22])
def test_what_was_written_is_read(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers, bodies and names come back as they were, wherever the file is cut into blocks."""
    monkeypatch.setattr(playreader, "BLOCK", block)
    events, names = random_events(np.random.default_rng(3), 400)
    file = io.BytesIO()
    thread = np.arange(400, dtype=np.uint8)
    PlayWriter(file, START).write(events, names, thread)
    parts = read(file.getvalue())
    assert np.concatenate([p.events.head for p in parts]).tobytes() == events.head.tobytes()
    assert [b for p in parts for b in bodies(p.events)] == bodies(events)
    assert np.concatenate([p.thread for p in parts]).tolist() == thread.tolist()
    assert {peer: name for p in parts for peer, name in p.names.items()} == names
    assert all(not p.events.bodies.buf[-PAD:].any() for p in parts)


def test_a_part_ends_at_each_command() -> None:
    """Events before and after a restart are never in one part, and times and numbers go on."""
    events, names = random_events(np.random.default_rng(4), 30)
    file = io.BytesIO()
    writer = PlayWriter(file, START)
    writer.command(PLAY_RESTART, START)
    writer.write(events.take(np.s_[:10]), names)
    writer.command(PLAY_RESTART, int(events.head["ts"][9]))
    writer.write(events.take(np.s_[10:]), names)
    writer.command(PLAY_EXIT, int(events.head["ts"][29]))
    parts = read(file.getvalue())
    assert [(len(p.events), p.command) for p in parts] == [(0, PLAY_RESTART), (10, PLAY_RESTART), (20, PLAY_EXIT)]
    assert np.concatenate([p.events.head["seq"] for p in parts]).tolist() == list(range(30))


def test_a_long_text_is_cut_as_the_kernel_cuts_it() -> None:
    """A name longer than its argument keeps one byte less than the width, for the zero byte."""
    head = np.zeros(1, HEADER)
    head["ts"] = START
    file = io.BytesIO()
    PlayWriter(file, START).write(Events(head, Pieces.of_bytes([b""])), {0: Name(b"n" * 300, b"inbound")})
    assert read(file.getvalue())[0].names == {0: Name(b"n" * (ADDRESS.width - 1), b"inbound")}


def some_file() -> bytes:
    events, names = random_events(np.random.default_rng(6), 40)
    file = io.BytesIO()
    PlayWriter(file, START).write(events, names)
    return file.getvalue()


SOME_FILE = some_file()


@given(st.integers(0, len(SOME_FILE) - 1))
def test_every_cut_is_noticed_or_falls_between_records(cut: int) -> None:
    """A file cut short gives the events before the cut, or says that it was cut."""
    events, names = random_events(np.random.default_rng(6), 40)
    lengths = {16: 0}
    file = io.BytesIO()
    writer = PlayWriter(file, START)
    for i in range(len(events)):
        writer.write(events.take(np.s_[i : i + 1]), names)
        lengths[len(file.getvalue())] = i + 1
    if cut in lengths:
        assert [e for p in read(SOME_FILE[:cut]) for e in bodies(p.events)] == bodies(events)[: lengths[cut]]
    else:
        with pytest.raises(PlayError, match=r"not a play file|the file ends within a record"):
            read(SOME_FILE[:cut])


@given(st.integers(16, len(SOME_FILE) - 1), st.integers(0, 255))
def test_a_changed_byte_gives_other_events_or_an_error_and_never_anything_else(place: int, value: int) -> None:
    """Whatever a file holds, reading raises PlayError or gives events whose bodies lie inside the buffer."""
    raw = bytearray(SOME_FILE)
    raw[place] = value
    try:
        parts = read(bytes(raw))
    except PlayError:
        return
    for part in parts:
        pieces = part.events.bodies
        assert (pieces.start + pieces.size + PAD <= len(pieces.buf)).all()


def put(place: int, value: bytes) -> Callable[[bytes], bytes]:
    return lambda raw: raw[:place] + value + raw[place + len(value) :]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (put(0, b"PWPLAY2"), "not a play file"),
        (lambda raw: raw[:9], "not a play file"),
        (put(16 + 8, b"\x10"), "record 1 at byte 16: unknown probe number"),
        (put(16 + 10, b"\x01"), "record 1 at byte 16: reserved bytes are not zero"),
        (put(16 + 12, b"\xff\xff\xff\xff"), "record 1 at byte 16: body is longer than allowed"),
        (put(16 + 8, b"\xf0"), "record 1 at byte 16: a command has a body"),
    ],
)
def test_a_bad_header_is_named_with_its_place(change: Callable[[bytes], bytes], what: str) -> None:
    """The error says which record, where, and what is wrong."""
    with pytest.raises(PlayError, match=f"^{what}$"):
        read(change(SOME_FILE))
