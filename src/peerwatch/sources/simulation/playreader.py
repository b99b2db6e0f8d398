"""Play files read back: the events of a scenario without a kernel, and what a player was given, for tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from peerwatch.schema.batch import Array
from peerwatch.sources.simulation.events import OUTBOUND, Events, Name
from peerwatch.sources.simulation.pieces import Pieces
from peerwatch.sources.simulation.playfile import COMMANDS, FILE_HEADER, MAX_BODY, MAX_TEXT, RECORD, PlayError
from peerwatch.sources.usdt.probes import HEADER, PLAY_MAGIC, PROBES, Arg, Kind, Probe
from peerwatch.wire.raw import PAD

BLOCK = 1 << 22
"""Bytes that are read at once."""

_WIDEST = max(arg.width for probe in PROBES for arg in probe.args)


@dataclass(frozen=True, slots=True)
class Played:
    """Some events of a play file, in its order, and the command after the last of them.

    `events` as the kernel would give them: ts in ns UTC, seq counted from the beginning of the file, texts cut to their widths;
    their buffer ends with `PAD` zero bytes. `names` has the peers of the messages, `thread` (uint8) is one entry an event.
    """

    events: Events
    names: Mapping[int, Name]
    thread: Array
    command: int | None = None


class PlayReader:
    """Reads a play file. Iterate over it for the events, in pieces of some MiB."""

    def __init__(self, file: BinaryIO) -> None:
        """Read the header.

        Raises:
            PlayError: it is none.
        """
        raw = file.read(FILE_HEADER.itemsize)
        header = np.frombuffer(raw, FILE_HEADER) if len(raw) == FILE_HEADER.itemsize else None
        if header is None or header["magic"][0].tobytes() != PLAY_MAGIC:
            raise PlayError("not a play file")
        self.start = int(header["start"][0])
        """When playing begins, ns UTC."""
        self._file = file
        self._offset = FILE_HEADER.itemsize
        self._records = 0
        self._events = 0

    def __iter__(self) -> Iterator[Played]:
        """All that is left of the file.

        Raises:
            PlayError: a malformed record, with its number and place. Events shortly before it may be lost.
        """
        rest = b""
        while fresh := self._file.read(BLOCK):
            block = rest + fresh
            buf = np.concatenate([np.frombuffer(block, np.uint8), np.zeros(_WIDEST, np.uint8)])
            places, stop = _walk(block)
            record = np.ascontiguousarray(_window(buf, places, RECORD.itemsize)).view(RECORD)[:, 0]
            first = 0
            for last in (*np.flatnonzero(np.isin(record["probe"], COMMANDS)).tolist(), len(record) - 1):
                if last >= first:
                    yield self._decode(buf, places[first : last + 1], record[first : last + 1])
                first = last + 1
            rest = block[stop:]
            self._offset += stop
            if len(rest) >= RECORD.itemsize:  # do not read on for a record that cannot be one
                try:
                    _check(np.frombuffer(rest, RECORD, 1))
                except _MalformedError as error:
                    raise self._error(0, 0, error.what) from None
        if rest:
            raise self._error(0, 0, "the file ends within a record")

    def _decode(self, buf: Array, places: Array, record: Array) -> Played:
        """The records at `places` of a block, of which only the last may be a command."""
        try:
            events, names = _decode(buf, places, record)
        except _MalformedError as error:
            raise self._error(error.index, int(places[error.index]), error.what) from None
        count = len(events)
        command = int(record["probe"][count]) if count < len(record) else None
        events.head["ts"] += np.uint64(self.start)
        events.head["seq"] = np.arange(self._events, self._events + count)
        self._events += count
        self._records += len(record)
        return Played(events, names, record["thread"][:count], command)

    def _error(self, index: int, place: int, what: str) -> PlayError:
        return PlayError(f"record {self._records + index + 1} at byte {self._offset + place}: {what}")


class _MalformedError(Exception):
    """One of several records is malformed."""

    def __init__(self, index: int, what: str) -> None:
        super().__init__(what)
        self.index = index
        self.what = what


def _refuse(bad: Array, what: str) -> None:
    """Raise for the first record for which `bad` is set."""
    if bad.any():
        raise _MalformedError(int(bad.argmax()), what)


def _check(record: Array) -> None:
    """Refuse bad headers."""
    is_command = np.isin(record["probe"], COMMANDS)
    _refuse(~is_command & (record["probe"] >= len(PROBES)), "unknown probe number")
    _refuse(record["zero"] != 0, "reserved bytes are not zero")
    _refuse(record["length"] > MAX_BODY, "body is longer than allowed")
    _refuse(is_command & (record["length"] != 0), "a command has a body")


class _Cursor:
    """Goes through the bodies of many records of one layout at once."""

    def __init__(self, buf: Array, begin: Array, length: Array) -> None:
        self.at = begin
        self.end = begin + length
        self._buf = buf

    def fixed(self, width: int, what: str) -> Array:
        """The next `width` bytes of each, as rows."""
        _refuse(self.at + width > self.end, f"body ends within {what}")
        rows = _window(self._buf, self.at, width)
        self.at = self.at + width
        return rows

    def integer(self, arg: Arg) -> Array:
        """An integer of each, int64 or uint64."""
        values = self.fixed(8, "an integer").view("<i8" if arg.signed else "<u8")[:, 0]
        _refuse((values > 1) & (arg.width == 1), "a flag is neither 0 nor 1")
        return values

    def text(self, width: int) -> Array:
        """A text of each as the kernel keeps it: an S array, cut to `width` - 1 bytes."""
        length = self.fixed(2, "the length of a text").view("<u2")[:, 0].astype(np.int64)
        _refuse(length > MAX_TEXT, "a text is longer than allowed")
        _refuse(self.at + length > self.end, "body ends within a text")
        rows = _window(self._buf, self.at, width)
        inside = np.arange(width) < np.minimum(length, width - 1)[:, None]
        zero = ((rows == 0) & inside).any(axis=1)
        for i in np.flatnonzero(length >= width).tolist():
            zero[i] = not self._buf[self.at[i] : self.at[i] + length[i]].all()
        _refuse(zero, "a text contains a zero byte")
        self.at = self.at + length
        return np.where(inside, rows, np.uint8(0)).view(f"S{width}")[:, 0]

    def payload(self, size: Array) -> Array:
        """Where the payload of each begins; it is all the rest."""
        _refuse((self.end - self.at).astype(np.uint64) < size, "the payload is shorter than its size")
        start, self.at = self.at, self.end
        return start

    def finish(self) -> None:
        """Refuse what is longer than its arguments."""
        _refuse(self.at != self.end, "bytes are left after the last argument")


def _walk(block: bytes) -> tuple[Array, int]:
    """Where the whole records of a block begin (int64), and where the last of them ends."""
    words = memoryview(block)[: len(block) // 4 * 4].cast("I")
    places = []
    at, end = 0, len(words)
    while at + 4 <= end:
        after = at + 4 + (words[at + 3] + 7 >> 3 << 1)
        if after > end:
            break
        places.append(at)
        at = after
    return np.array(places, np.int64) * 4, at * 4


def _window(buf: Array, at: Array, width: int) -> Array:
    """`width` bytes from each place on, as rows."""
    return np.lib.stride_tricks.sliding_window_view(buf, width)[at]


def _decode(buf: Array, places: Array, record: Array) -> tuple[Events, dict[int, Name]]:
    """Events out of the records at `places`, a command at their end left out; `ts` is from the start, `seq` unset.

    Raises:
        _MalformedError: for the first malformed record.
    """
    try:
        _check(record)
        record = record[~np.isin(record["probe"], COMMANDS)]
        return _events(buf, places[: len(record)] + RECORD.itemsize, record)
    except _MalformedError as error:
        # Probe by probe, the first one found need not be the first of all.
        if error.index:
            _decode(buf, places[: error.index], record[: error.index])
        raise


def _events(buf: Array, begin: Array, record: Array) -> tuple[Events, dict[int, Name]]:
    """Events out of records with good headers, whose bodies are at `begin`."""
    head = np.zeros(len(record), HEADER)
    head["ts"], head["probe"] = record["at"], record["probe"]
    start, size = np.zeros(len(record), np.int64), np.zeros(len(record), np.int64)
    names: dict[int, Name] = {}
    buffers, used = [buf[:-_WIDEST]], len(buf) - _WIDEST
    for number in np.unique(record["probe"]).tolist():
        rows = np.flatnonzero(record["probe"] == number)
        try:
            values = _arguments(_Cursor(buf, begin[rows], record["length"][rows].astype(np.int64)), PROBES[number])
        except _MalformedError as error:
            raise _MalformedError(int(rows[error.index]), error.what) from None
        if "peer" in values:
            head["peer"][rows] = values["peer"]
        if number <= OUTBOUND:
            head["size"][rows], head["type"][rows] = values["size"], values["type"].view(HEADER["type"])
            start[rows], size[rows] = values["payload"], values["size"]
            names |= _names(values)
        else:
            body = np.zeros(len(rows), PROBES[number].body)
            for name, column in values.items():
                body[name] = column
            start[rows], size[rows] = used + np.arange(len(rows)) * body.itemsize, body.itemsize
            buffers.append(body.view(np.uint8))
            used += body.nbytes
    head["kept"] = size
    return Events(head, Pieces(np.concatenate([*buffers, np.zeros(PAD, np.uint8)]), start, size)), names


def _arguments(cursor: _Cursor, probe: Probe) -> dict[str, Array]:
    """The arguments of many records of one probe; for a payload where it begins."""
    values: dict[str, Array] = {}
    for arg in probe.args:
        match arg.kind:
            case Kind.INT:
                values[arg.name] = cursor.integer(arg)
            case Kind.TEXT:
                values[arg.name] = cursor.text(arg.width)
            case Kind.HASH:
                values[arg.name] = cursor.fixed(arg.width, "a hash").view(f"V{arg.width}")[:, 0]
            case Kind.PAYLOAD:
                values[arg.name] = cursor.payload(values["size"])
    cursor.finish()
    return values


def _names(values: Mapping[str, Array]) -> dict[int, Name]:
    """What messages say of their peers."""
    peers, first = np.unique(values["peer"], return_index=True)
    addresses, conn_types = values["address"][first].tolist(), values["conn_type"][first].tolist()
    return {peer: Name(a, c) for peer, a, c in zip(peers.tolist(), addresses, conn_types, strict=True)}
