"""Reads one payload field by field."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

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
        """The next bytes."""
        if self.at + width > len(self.kept):
            raise Stopped("truncated" if len(self.kept) == self.size else None)
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
            self.noted = "over_limit"
        return min(value, limit)

    def length(self, limit: int) -> int:
        """The next length; over its limit is the end."""
        value = self.compact_size()
        if value > limit:
            raise Stopped("over_limit")
        return value

    @property
    def ended(self) -> bool:
        """Whether nothing was sent behind this place."""
        return self.at == self.size


def compact_size(value: int, width: int | None = None) -> bytes:
    """A compact size, in its shortest form or in one of `width` bytes."""
    width = width or next(w for w, most in ((1, 0xFC), (3, 0xFFFF), (5, 0xFFFFFFFF), (9, 2**64 - 1)) if value <= most)
    mark = {1: b"", 3: b"\xfd", 5: b"\xfe", 9: b"\xff"}[width]
    return mark + value.to_bytes(max(width - 1, 1), "little")
