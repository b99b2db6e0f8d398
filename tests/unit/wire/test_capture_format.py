"""The format of capture files."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwatch.wire.capture_format import MAX_PROTOCOL_MESSAGE_LENGTH, MAX_TIME_US, Ahead, find_records


def record(time: int, kind: bytes, payload: bytes) -> bytes:
    return struct.pack("<Q12sI", time, kind, len(payload)) + payload


RECORDS = st.lists(st.builds(record, st.integers(0, MAX_TIME_US), st.binary(max_size=12), st.binary(max_size=50)), max_size=6)


def test_records() -> None:
    """Time in ns, type padded to 16 bytes, size, and place of every record."""
    piece = record(1_700_000_000_000_001, b"getcfcheckpt", b"abc") + record(5, b"ping", b"")
    found = find_records(piece, len(piece))
    assert found.at.tolist() == [0, 27]
    assert found.ts.tolist() == [1_700_000_000_000_001_000, 5000]
    assert found.size.tolist() == [3, 0]
    assert found.type.tobytes() == b"getcfcheckpt".ljust(16, b"\0") + b"ping".ljust(16, b"\0")
    assert (found.next, found.ahead) == (len(piece), Ahead.END)


@given(records=RECORDS, data=st.data())
def test_a_piece_of_a_file(records: list[bytes], data: st.DataObject) -> None:
    """All records are found whose headers are in the piece and whose payloads are in the file, and the next begins behind."""
    file = b"".join(records)
    room = data.draw(st.integers(0, len(file)))
    piece = file[: data.draw(st.integers(0, room))]
    ends = [sum(map(len, records[: i + 1])) for i in range(len(records))]
    starts = [0, *ends[:-1]][: len(ends)]
    there = [s for s, e in zip(starts, ends, strict=True) if s + 24 <= len(piece) and e <= room]
    found = find_records(piece, room)
    assert found.at.tolist() == there
    assert found.next == (ends[len(there) - 1] if there else 0)
    following = records[len(there)] if len(there) < len(records) else b""
    if found.ahead is Ahead.END:
        assert room - found.next < max(len(following), 24)
    else:
        assert found.ahead is Ahead.MORE
        assert found.next + 24 > len(piece)


@pytest.mark.parametrize(
    "bad",
    [
        struct.pack("<Q12sI", 5, b"block", MAX_PROTOCOL_MESSAGE_LENGTH + 1),
        struct.pack("<Q12sI", MAX_TIME_US + 1, b"ping", 8),
        b"\xff" * 24,
    ],
)
def test_what_is_no_record(bad: bytes) -> None:
    """A size over the protocol's limit, or a time beyond int64 nanoseconds, ends the file there."""
    piece = record(5, b"ping", bytes(8)) + bad + bytes(100)
    found = find_records(piece, 10**9)
    assert (found.at.tolist(), found.next, found.ahead) == ([0], 32, Ahead.MALFORMED)


def test_the_largest_record() -> None:
    """A payload of exactly the protocol's limit, at the latest time, is one."""
    piece = struct.pack("<Q12sI", MAX_TIME_US, b"block", MAX_PROTOCOL_MESSAGE_LENGTH)
    assert find_records(piece, 24 + MAX_PROTOCOL_MESSAGE_LENGTH).size.tolist() == [MAX_PROTOCOL_MESSAGE_LENGTH]
