"""Files that are not play files are refused, with the record, the place and the reason, by the player and by the reader alike."""

from __future__ import annotations

import io
import json
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from peerwatch.sources.simulation.events import NUMBER, Events
from peerwatch.sources.simulation.playfile import PlayError
from peerwatch.sources.simulation.playreader import PlayReader

MESSAGE, EVICTED, MISBEHAVING, FLUSH, REJECTED = (
    NUMBER[n]
    for n in (
        "net:inbound_message",
        "net:evicted_inbound_connection",
        "net:misbehaving_connection",
        "utxocache:flush",
        "mempool:rejected",
    )
)


def record(probe: int, body: bytes, *, reserved: int = 0, length: int | None = None) -> bytes:
    header = struct.pack("<QBBHI", 0, probe, 0, reserved, len(body) if length is None else length)
    return header + body + bytes(-len(body) % 8)


def text(value: bytes, length: int | None = None) -> bytes:
    return struct.pack("<H", len(value) if length is None else length) + value


def message(size: int, payload: bytes) -> bytes:
    return bytes(8) + text(b"a") + text(b"b") + text(b"c") + struct.pack("<Q", size) + payload


CASES = {
    "unknown probe number": record(16, b""),
    "reserved bytes are not zero": record(FLUSH, bytes(40), reserved=1),
    "body is longer than allowed": record(MESSAGE, b"", length=0x02000000 + 8 * 1024 + 1),
    "a command has a body": record(0xF0, bytes(8)),
    "the file ends within a record": record(MESSAGE, message(10, bytes(10)))[:-1],
    "body ends within an integer": record(MISBEHAVING, bytes(7)),
    "body ends within the length of a text": record(MISBEHAVING, bytes(9)),
    "body ends within a text": record(EVICTED, bytes(8) + text(b"abc", 4)),
    "a text is longer than allowed": record(MISBEHAVING, bytes(8) + text(bytes(1025))),
    "a text contains a zero byte": record(MISBEHAVING, bytes(8) + text(b"a\0b")),
    "body ends within a hash": record(REJECTED, bytes(31)),
    "the payload is shorter than its size": record(MESSAGE, message(11, bytes(10))),
    "a flag is neither 0 nor 1": record(FLUSH, bytes(32) + struct.pack("<Q", 2)),
    "bytes are left after the last argument": record(FLUSH, bytes(41)),
}


@pytest.mark.parametrize("reason", CASES)
def test_a_malformed_record_is_named_and_all_before_it_are_fired(
    binaries: Path, scenario: Callable[..., Events], file_of: Callable[..., bytes], tmp_path: Path, reason: str
) -> None:
    """One line with record, byte and reason, exit status 2, and a report of the good records before; the reader agrees."""
    good = file_of(scenario(1000))
    path = tmp_path / "bad.play"
    path.write_bytes(good + CASES[reason])
    done = subprocess.run(
        [binaries / "peerwatch-player", "--speed", "max", path], capture_output=True, text=True, check=False, timeout=60
    )
    expected = f"record 1001 at byte {len(good)}: {reason}"
    assert done.returncode == 2
    assert done.stderr == f"peerwatch-player: {path}: {expected}\n"
    report = json.loads(done.stdout)
    assert (sum(report["fired"].values()), report["ended"]) == (1000, "error")
    with pytest.raises(PlayError, match=f"^{expected}$"):
        list(PlayReader(io.BytesIO(path.read_bytes())))


@pytest.mark.parametrize("seed", range(4))
def test_player_and_reader_agree_on_any_file(
    binaries: Path, scenario: Callable[..., Events], file_of: Callable[..., bytes], seed: int
) -> None:
    """Files with some bytes changed and their ends cut are accepted by both, or refused by both for the same reason."""
    whole = file_of(scenario(64))
    rng = np.random.default_rng(seed)
    verdicts = set()
    for _ in range(25):
        raw = bytearray(whole)
        for _ in range(rng.choice([1, 2, 5])):
            raw[rng.integers(16, len(raw))] = rng.choice([1, 255, rng.integers(0xF0)])  # no commands
        if rng.integers(2):
            del raw[rng.integers(16, len(raw)) :]
        done = subprocess.run(
            [binaries / "peerwatch-player", "--speed", "max", "-"], input=raw, capture_output=True, check=False, timeout=60
        )
        try:
            count, problem = sum(len(p.events) for p in PlayReader(io.BytesIO(raw))), ""
        except PlayError as error:
            count, problem = 0, f"peerwatch-player: standard input: {error}\n"
        assert done.stderr.decode() == problem
        assert done.returncode == (2 if problem else 0)
        if not problem:
            assert sum(json.loads(done.stdout)["fired"].values()) == count
        verdicts.add(bool(problem))
    assert verdicts == {True, False}


@pytest.mark.parametrize("raw", [b"", b"PWPLAY1\n", b"PWPLAY2\n" + bytes(8), b"#!/bin/sh\necho no\n"])
def test_a_file_without_the_header_is_refused(binaries: Path, raw: bytes) -> None:
    """Nothing is fired from what is not a play file, and nothing is reported."""
    done = subprocess.run([binaries / "peerwatch-player", "-"], input=raw, capture_output=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr == b"peerwatch-player: standard input is not a play file\n"
    assert done.stdout == b""
    with pytest.raises(PlayError, match="not a play file"):
        PlayReader(io.BytesIO(raw))


def test_a_zero_byte_is_found_behind_what_is_kept_of_a_text(binaries: Path) -> None:
    """Also where the reader cuts the text."""
    raw = b"PWPLAY1\n" + bytes(8) + record(MISBEHAVING, bytes(8) + text(b"a" * 500 + b"\0"))
    done = subprocess.run([binaries / "peerwatch-player", "-"], input=raw, capture_output=True, check=False, timeout=60)
    expected = "record 1 at byte 16: a text contains a zero byte"
    assert done.stderr == f"peerwatch-player: standard input: {expected}\n".encode()
    with pytest.raises(PlayError, match=f"^{expected}$"):
        list(PlayReader(io.BytesIO(raw)))


def test_a_payload_may_be_longer_than_its_size(binaries: Path) -> None:
    """What lies behind the message is there to be left alone."""
    raw = b"PWPLAY1\n" + bytes(8) + record(MESSAGE, message(3, b"abcdef"))
    done = subprocess.run([binaries / "peerwatch-player", "-"], input=raw, capture_output=True, check=True, timeout=60)
    assert json.loads(done.stdout)["messages"]["inbound"] == {"c": {"count": 1, "bytes": 3}}
    [played] = PlayReader(io.BytesIO(raw))
    start, size = int(played.events.bodies.start[0]), int(played.events.bodies.size[0])
    assert played.events.bodies.buf[start : start + size].tobytes() == b"abc"


def test_a_type_of_any_bytes_keeps_the_report_valid(binaries: Path) -> None:
    """The report stays one line of JSON whatever a type is."""
    name = b'"\\\x01\n\xff{'
    body = bytes(8) + text(b"a") + text(b"b") + text(name) + struct.pack("<Q", 0)
    raw = b"PWPLAY1\n" + bytes(8) + record(MESSAGE, body)
    done = subprocess.run([binaries / "peerwatch-player", "-"], input=raw, capture_output=True, check=True, timeout=60)
    assert done.stdout.count(b"\n") == 1
    assert list(json.loads(done.stdout)["messages"]["inbound"]) == [name.decode("latin-1")]
