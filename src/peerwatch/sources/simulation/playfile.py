"""Play files: events on disk or in a pipe, for the tracepoint player to fire. player/README.md has the format.

Events go in as the kernel would give them (events.py), and come out so (playreader.py). A play file holds more than a record
of the kernel does: every message carries the address and connection type of its peer, as the arguments of its probe do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from peerwatch.schema.batch import Array
from peerwatch.sources.simulation.events import OUTBOUND, Events, Name
from peerwatch.sources.simulation.pieces import Pieces
from peerwatch.sources.usdt.probes import HEADER, PLAY_EXIT, PLAY_MAGIC, PLAY_RESTART, PROBES, Arg, Kind

FILE_HEADER = np.dtype([("magic", "V8"), ("start", "<u8")])
RECORD = np.dtype([("at", "<u8"), ("probe", "u1"), ("thread", "u1"), ("zero", "<u2"), ("length", "<u4")])
COMMANDS = (PLAY_EXIT, PLAY_RESTART)

MAX_TEXT = 1024
"""Bytes of a text; nothing that Core passes comes near."""
MAX_PAYLOAD = 0x02000000
"""Bytes of a payload: nothing is serialized above it (Bitcoin Core, serialize.h, MAX_SIZE)."""
MAX_BODY = MAX_PAYLOAD + 8 * 1024

_TYPE_WIDTH = HEADER["type"].itemsize


class PlayError(ValueError):
    """Something that is not a play file, or events that cannot be put into one."""


class PlayWriter:
    """Writes a play file, piece by piece and in order of time."""

    def __init__(self, file: BinaryIO, start: int) -> None:
        """Write the header to `file`; `start` (ns UTC) is when playing begins."""
        self._file = file
        self._start = start
        self._last = start
        file.write(np.array([(PLAY_MAGIC, start)], FILE_HEADER).tobytes())

    def write(self, events: Events, names: Mapping[int, Name], thread: int | Array = 0) -> None:
        """Append events, ordered by time. `thread` (uint8, one or one an event) is the player's thread that fires them.

        Raises:
            PlayError: events that are out of order, that lack a part of their payload, or whose peer has no name; texts that
                are too long, or that have a zero byte within.
        """
        head = events.head
        if not len(head):
            return
        ts = head["ts"].astype(np.int64)
        if ts[0] < self._last or (np.diff(ts) < 0).any():
            raise PlayError("events are not in order of time")
        record = np.zeros(len(head), RECORD)
        record["at"], record["probe"], record["thread"] = ts - self._start, head["probe"], thread
        is_message = head["probe"] <= OUTBOUND
        numbers = np.unique(head["probe"][~is_message]).tolist()
        rows = [np.flatnonzero(is_message), *(np.flatnonzero(head["probe"] == number) for number in numbers)]
        parts = [_messages(record[rows[0]], events.take(rows[0]), names)] if len(rows[0]) else []
        parts += [_others(record[i], events.take(i), number) for i, number in zip(rows[1:], numbers, strict=True)]
        encoded = parts[0]
        if len(parts) > 1:
            encoded = pa.concat_arrays(parts).take(pa.array(np.argsort(np.concatenate(rows))))
        self._append(encoded)
        self._last = int(ts[-1])

    def command(self, command: int, ts: int) -> None:
        """Append PLAY_EXIT or PLAY_RESTART, to be carried out at `ts` (ns UTC) after all events so far."""
        if command not in COMMANDS or ts < self._last:
            raise PlayError("not a command, or not in order of time")
        self._file.write(np.array([(ts - self._start, command, 0, 0, 0)], RECORD).tobytes())
        self._last = ts

    def _append(self, encoded: pa.LargeBinaryArray) -> None:
        offsets = np.frombuffer(encoded.buffers()[1], np.int64)[encoded.offset : encoded.offset + len(encoded) + 1]
        self._file.write(memoryview(encoded.buffers()[2])[offsets[0] : offsets[-1]])


def _messages(record: Array, events: Events, names: Mapping[int, Name]) -> pa.LargeBinaryArray:
    """Records of messages; `record` has all of their headers but the length."""
    head, bodies = events.head, events.bodies
    if (head["size"] != bodies.size).any() or (bodies.size > MAX_PAYLOAD).any():
        raise PlayError("a message lacks a part of its payload, or is too large")
    peers, peer = np.unique(head["peer"], return_inverse=True)
    unnamed = [p for p in peers.tolist() if p not in names]
    if unnamed:
        raise PlayError(f"peer {unnamed[0]} has no name")
    named = [_text(names[p].address) + _text(names[p].conn_type) for p in peers.tolist()]
    types = pa.array(np.ascontiguousarray(head["type"]).view(f"S{_TYPE_WIDTH}")).dictionary_encode()
    typed = [_text(name) for name in types.dictionary.to_pylist()]
    return _joined(
        record,
        [
            _bytes_of(head["peer"]),
            pa.array(named, pa.large_binary()).take(pa.array(peer)),
            pa.array(typed, pa.large_binary()).take(types.indices),
            _bytes_of(head["size"]),
            _binary(bodies),
        ],
    )


def _others(record: Array, events: Events, number: int) -> pa.LargeBinaryArray:
    """Records of one probe that is not a message."""
    layout = PROBES[number].body
    bodies = events.bodies
    if (bodies.size != layout.itemsize).any():
        raise PlayError(f"an event of {PROBES[number].full_name} lacks a part of its arguments")
    rows = bodies.buf[bodies.start[:, None] + np.arange(layout.itemsize)]
    body = np.ascontiguousarray(rows).view(layout)[:, 0]
    parts: list[Any] = []
    for arg in PROBES[number].args:
        values = np.ascontiguousarray(body[arg.name])
        if arg.kind is Kind.TEXT:
            parts.append(pa.array([_text(text) for text in values.tolist()], pa.large_binary()))
        elif arg.kind is Kind.INT:
            _check_range(values, arg)
            parts.append(_bytes_of(values))
        else:
            parts.append(_bytes_of(values))
    return _joined(record, parts)


def _text(text: bytes) -> bytes:
    """A text as it stands in a play file."""
    if len(text) > MAX_TEXT or b"\0" in text:
        raise PlayError("a text is too long or has a zero byte within")
    return len(text).to_bytes(2, "little") + text


def _check_range(values: Array, arg: Arg) -> None:
    """Refuse integers that the probe could not pass; one byte is a flag."""
    if arg.width == 1:
        low, high = 0, 1
    elif arg.signed:
        low, high = -(1 << 8 * arg.width - 1), (1 << 8 * arg.width - 1) - 1
    else:
        low, high = 0, (1 << 8 * arg.width) - 1
    if int(values.min()) < low or int(values.max()) > high:
        raise PlayError(f"{arg.name} is not in the range of its argument")


def _bytes_of(values: Array) -> Array:
    """Values of one width as uint8 rows."""
    return np.ascontiguousarray(values).view(np.uint8).reshape(len(values), values.dtype.itemsize)


def _binary(pieces: Pieces) -> pa.LargeBinaryArray:
    """Pieces as an Arrow array. They may share bytes, but when one begins within another all are copied one by one, slowly."""
    order = np.lexsort((pieces.size, pieces.start))
    start, size = pieces.start[order], pieces.size[order]
    fresh = np.concatenate([[True], (np.diff(start) != 0) | (np.diff(size) != 0)])
    start, end = start[fresh], start[fresh] + size[fresh]
    if (start[1:] < end[:-1]).any():
        return _binary(pieces.compacted())
    # What lies between two pieces is an element, too, and left out.
    offsets = np.stack([start, end], axis=1).reshape(-1)
    everything = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(pieces.buf))]
    )
    index = np.empty(len(order), np.int64)
    index[order] = (np.cumsum(fresh) - 1) * 2
    return everything.take(pa.array(index))


def _joined(record: Array, body: Sequence[Any]) -> pa.LargeBinaryArray:
    """Whole records: header, the parts of the body (uint8 rows, or Arrow arrays), padding."""
    lengths = [np.int64(p.shape[1]) if isinstance(p, np.ndarray) else pc.binary_length(p).to_numpy() for p in body]
    record["length"] = np.sum(np.broadcast_arrays(*lengths, np.zeros(len(record), np.int64)), axis=0)
    padding = pa.array([bytes(n) for n in range(8)], pa.large_binary()).take(pa.array(-record["length"].astype(np.int64) & 7))
    columns = [_fixed(p) if isinstance(p, np.ndarray) else p for p in (_bytes_of(record), *body)]
    return pc.binary_join_element_wise(*columns, padding, pa.scalar(b"", pa.large_binary()))


def _fixed(rows: Array) -> pa.LargeBinaryArray:
    """Rows of bytes as an Arrow array."""
    count, width = rows.shape
    offsets = np.arange(count + 1, dtype=np.int64) * width
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), count, [None, pa.py_buffer(offsets), pa.py_buffer(rows)])
