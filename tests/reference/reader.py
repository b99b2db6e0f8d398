"""Reads one payload field by field."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

from peerwatch.schema.table import Table

Row = dict[str, Any]
Rows = Iterator[Row]


class Stopped(Exception):  # noqa: N818 - running out of the bytes that were kept is no error
    """Reading cannot go on; `error` is what the sender did wrong, None if we kept too little."""

    def __init__(self, error: str | None) -> None:
        """Stop with `error`."""
        super().__init__(error)
        self.error = error


class Reader:
    """A place in one payload, of which `kept` was kept and `size` bytes were sent."""

    def __init__(self, kept: bytes, size: int, key: bytes) -> None:
        """Stand at the start."""
        self.kept, self.size, self.key = kept, size, key
        self.at = 0
        self.noted: str | None = None

    def take(self, width: int) -> bytes:
        """The next bytes; running out of them is the sender's fault when it sent nothing behind those that are known."""
        if self.at + width > len(self.kept):
            raise Stopped("truncated" if max(self.at, len(self.kept)) == self.size else None)
        self.at += width
        return self.kept[self.at - width : self.at]

    def number(self, kind: str) -> int:
        """The next number, as struct writes its kind."""
        return int(struct.unpack(kind, self.take(struct.calcsize(kind)))[0])

    def compact_size(self) -> int:
        """The next compact size."""
        first = self.number("B")
        if first < 0xFD:
            return first
        value = self.number({0xFD: "<H", 0xFE: "<I", 0xFF: "<Q"}[first])
        if value < {0xFD: 0xFD, 0xFE: 1 << 16, 0xFF: 1 << 32}[first]:
            raise Stopped("non_canonical")
        return value

    def count(self, limit: int) -> int:
        """The next count; over its limit is noted, and the first entries are read."""
        value = self.compact_size()
        if value > limit:
            self.note("over_limit")
        return min(value, limit)

    def length(self, limit: int) -> int:
        """The next length; over its limit is the end."""
        value = self.compact_size()
        if value > limit:
            raise Stopped("over_limit")
        return value

    def note(self, error: str) -> None:
        """Something is wrong, and reading goes on; the first such error counts."""
        self.noted = self.noted or error

    def body(self, count: int, width: int = 1) -> int:
        """Pass over `count` items of `width` bytes, kept or not; gives how many were sent, and fewer is noted."""
        sent = min(count, (self.size - self.at) // width)
        if sent < count:
            self.note("truncated")
        self.at = self.at + sent * width if sent == count else self.size
        return sent

    @property
    def ended(self) -> bool:
        """Whether nothing was sent behind this place."""
        return self.at == self.size


def nulls(table: type[Table]) -> Row:
    """The columns of a table that may be null, as such."""
    return {name: None for name, column in table.columns.items() if column.nullable}


def filled(row: Row, **read: Callable[[], Any]) -> Rows:
    """One row, its columns read one after the other; where reading stops, those behind stay as they are."""
    try:
        for name, value in read.items():
            row[name] = value()
    except Stopped:
        yield row
        raise
    yield row


def compact_size(value: int, width: int | None = None) -> bytes:
    """A compact size, in its shortest form or in one of `width` bytes."""
    width = width or next(w for w, most in ((1, 0xFC), (3, 0xFFFF), (5, 0xFFFFFFFF), (9, 2**64 - 1)) if value <= most)
    mark = {1: b"", 3: b"\xfd", 5: b"\xfe", 9: b"\xff"}[width]
    return mark + value.to_bytes(max(width - 1, 1), "little")


def string(value: bytes) -> bytes:
    """Bytes with their length in front."""
    return compact_size(len(value)) + value
