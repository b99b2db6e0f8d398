"""Fuzz target: whatever a capture file holds, its records are delivered up to the first that is none, and the rest is told."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from peerwatch.sources.capture import CaptureSource
from peerwatch.wire.capture_format import Ahead, Records, find_records
from peerwatch.wire.raw import TypeNames
from tests.reference.decode import LONGEST
from tests.wireproof.examples import CAPTURES

HEAD = struct.Struct("<Q12sI")
LATEST = (2**63 - 1) // 1000
"""Latest time (µs) that is one in nanoseconds."""

LIMITS = (3, 200)
"""Messages and bytes of a chunk: small, so that there are several."""


class Record(NamedTuple):
    """One message of a file."""

    ts: int
    kind: bytes
    payload: bytes


def records(data: bytes) -> tuple[list[Record], bool]:
    """The records of a file, read plainly, and whether what follows them is no record."""
    found: list[Record] = []
    at = 0
    while at + HEAD.size <= len(data):
        time, kind, size = HEAD.unpack_from(data, at)
        if size > LONGEST or time > LATEST:
            return found, True
        if at + HEAD.size + size > len(data):
            break
        at += HEAD.size + size
        found.append(Record(time * 1000, kind.split(b"\0")[0], data[at - size : at]))
    return found, False


def one_input(data: bytes) -> None:
    """Try one input: how far it is looked at in one piece (u16), and a file.

    Raises:
        AssertionError: something was lost, made up, or not told.
    """
    if len(data) < 2:
        return
    cut, file = int.from_bytes(data[:2], "little"), data[2:]
    expected, malformed = records(file)
    looked = find_records(file[:cut], len(file))
    told = _found(file, looked)
    assert told == expected[: len(told)]
    assert len(told) == len(expected) or looked.ahead is Ahead.MORE
    assert not (looked.ahead is Ahead.MALFORMED and not malformed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "message_capture", "192.0.2.1_8333", "msgs_recv.dat")
        path.parent.mkdir(parents=True)
        path.write_bytes(file)
        _replayed(Path(folder), expected, len(file), malformed=malformed)


def _found(file: bytes, looked: Records) -> list[Record]:
    """What was found in one piece, as records."""
    columns = looked.at.tolist(), looked.ts.tolist(), looked.size.tolist(), looked.type.tolist()
    bodies = [(ts, bytes(kind).split(b"\0")[0], at + HEAD.size, size) for at, ts, size, kind in zip(*columns, strict=True)]
    return [Record(ts, kind, file[first : first + size]) for ts, kind, first, size in bodies]


def _replayed(folder: Path, expected: list[Record], size: int, *, malformed: bool) -> None:
    """The capture source over one file."""
    source = CaptureSource(folder, "alice", limits=LIMITS)
    names = TypeNames()
    found, lost = [], []
    while (chunks := source.read()) is not None:
        for chunk in chunks:
            m = chunk.messages
            for i in range(len(m)):
                payload = m.buf[m.start[i] : m.start[i] + m.kept[i]].tobytes()
                found.append((int(m.ts[i]), m.names[m.type[i]], payload))
            lost += chunk.rows["loss"].to_pylist() if "loss" in chunk.rows else []
    assert found == [(r.ts, names.names[names.code(r.kind)], r.payload) for r in expected]
    left = size - sum(HEAD.size + len(r.payload) for r in expected)
    assert [(row["kind"], row["bytes"]) for row in lost] == ([("unreadable" if malformed else "truncated", left)] if left else [])


def seeds(longest: int) -> Iterator[bytes]:
    """Inputs to begin with: the first records of the captures' files."""
    for path in sorted(CAPTURES.glob("*/message_capture/*/msgs_*.dat"))[::3]:
        data, at = path.read_bytes(), 0
        while at + HEAD.size <= len(data) and (after := at + HEAD.size + HEAD.unpack_from(data, at)[2]) <= min(
            longest - 2, len(data)
        ):
            at = after
        yield (at // 2).to_bytes(2, "little") + data[:at]
