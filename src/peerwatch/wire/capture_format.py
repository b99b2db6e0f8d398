"""The format of capture files: what a node run with `-capturemessages` appends for each message, by connection and direction.

A record is a little-endian u64 time (µs since 1970, the node's clock), 12 bytes of message type padded with NULs, a u32 payload
size and the payload. Source: Bitcoin Core, net.cpp: CaptureMessageToFile; contrib/message-capture.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum

import numpy as np

from peerwatch.schema.batch import Array
from peerwatch.wire.dissector import MAX_PROTOCOL_MESSAGE_LENGTH
from peerwatch.wire.layout import fields

RECORD_HEADER = np.dtype([("time", "<u8"), ("type", "V12"), ("size", "<u4")])
TYPE_BYTES = 16
"""Width of a type as TypeNames.codes wants it."""

MAX_TIME_US = (2**63 - 1) // 1000
"""Latest time that can be told in int64 nanoseconds."""

_TIME_AND_SIZE = struct.Struct("<Q12xI").unpack_from


class Ahead(Enum):
    """What follows the last record that was found."""

    MORE = "more"
    """Perhaps another record; the bytes looked at end before it can be told."""
    END = "end"
    """The end of the file, or the beginning of a record that is not wholly there."""
    MALFORMED = "malformed"
    """Bytes that are no record header: a time or size that no node writes."""


@dataclass(frozen=True, slots=True)
class Records:
    """Records found in a piece of a file. `at` (int64, where each begins in the piece), `ts` (int64, ns), `size` (int64, payload
    bytes), `type` (uint8, shape (records, TYPE_BYTES), NUL-padded); `next`, where the next would begin; `ahead`, what is there.
    """

    at: Array
    ts: Array
    size: Array
    type: Array
    next: int
    ahead: Ahead


def find_records(piece: bytes, room: int) -> Records:
    """Find the records whose headers lie in `piece`, which begins with a record; the file has `room` bytes from there on."""
    starts: list[int] = []
    at, ahead = 0, Ahead.MORE
    last = len(piece) - RECORD_HEADER.itemsize
    while at <= last:
        time, size = _TIME_AND_SIZE(piece, at)
        if size > MAX_PROTOCOL_MESSAGE_LENGTH or time > MAX_TIME_US:
            ahead = Ahead.MALFORMED
            break
        after = at + RECORD_HEADER.itemsize + size
        if after > room:
            ahead = Ahead.END
            break
        starts.append(at)
        at = after
    if ahead is Ahead.MORE and room - at < RECORD_HEADER.itemsize:
        ahead = Ahead.END
    return _read(piece, np.array(starts, np.int64), at, ahead)


def _read(piece: bytes, at: Array, following: int, ahead: Ahead) -> Records:
    kind = np.zeros((len(at), TYPE_BYTES), np.uint8)
    if not len(at):
        none = np.zeros(0, np.int64)
        return Records(none, none, none, kind, following, ahead)
    head = fields(np.frombuffer(piece, np.uint8), at, RECORD_HEADER)
    width = RECORD_HEADER["type"].itemsize
    kind[:, :width] = np.ascontiguousarray(head["type"]).view(np.uint8).reshape(-1, width)
    return Records(at, head["time"].astype(np.int64) * 1000, head["size"].astype(np.int64), kind, following, ahead)
