"""The reader's half of the ring: mapped memory only, no privilege, no libbpf, no system call.

The kernel's layout (kernel/bpf/ringbuf.c): a page with the consumer's position, one with the producer's, then the data, mapped
twice in a row so that a record never wraps. Before each record are 8 bytes: its length with a busy and a discard bit, and the
number of the page they lie on; the next ones follow at a multiple of 8.

Records are read where they are, up to the first that is still being written. What is finished stays as it is: the kernel writes
there again only when the consumer's position has passed it, and nobody else can write there at all. That position is published,
and the memory given back to the kernel, when what was read is safe elsewhere: a reader that is killed in between loses nothing.
"""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np

from peerwatch.schema.batch import Array
from peerwatch.wire.raw import PAD

_BUSY = 1 << 31
_DISCARDED = 1 << 30
_LENGTH = _DISCARDED - 1
_HEADER = 8
_PAGE = 4096
_PAGE_WORDS = _PAGE // 8
_BLOCK = 512 << 10
"""Bytes walked at once, so that they stay in the CPU's cache between the steps."""
_LARGE = 1024
"""From this mean size of records on, following lengths is faster than comparing every word."""

_KEPT = 8 << 20
"""glibc gives the memory of an array that is freed back to the kernel, to be had again page by page, unless it has once freed a
larger one (mallopt(3): M_MMAP_THRESHOLD is dynamic). With one of this size made and freed first, arrays made of what is read are
made in the same memory again and again, which saves a fifth of the time of all that is done with them.
"""


class RingError(RuntimeError):
    """What is mapped is not a ring, or the chain of its records is broken."""


class Ring:
    """A reader of a BPF ring buffer, from the position where the last one stopped."""

    def __init__(self, fd: int, size: int, position: int | None = None) -> None:
        """Map the ring of `size` data bytes.

        `position` is how far records are safe already, if that is known (the published position may lag behind it). It counts if
        a record ends exactly there; otherwise it belongs to another ring and is ignored. Raises OSError.
        """
        self.size = size
        np.empty(_KEPT, np.uint8)
        own = mmap.mmap(fd, _PAGE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        shared = mmap.mmap(fd, _PAGE + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=_PAGE)
        self._consumer = np.frombuffer(own, np.uint64, 1)
        self._producer = np.frombuffer(shared, np.uint64, 1)
        self._data = np.frombuffer(shared, np.uint8, 2 * size, _PAGE)
        words = self._data[:size].view(np.uint32)
        self._lengths = words[0::2]
        self._pages = words[1::2].reshape(-1, _PAGE_WORDS)
        self._plain = self._data[:size].data.cast("I")
        self._mean = 0
        self.position = self.published
        """Where the next read begins."""
        if position is not None and self.position < position <= self.produced and self._ends_record(position):
            self.position = position

    @property
    def produced(self) -> int:
        """Where the next record will begin."""
        return int(self._producer[0])

    @property
    def published(self) -> int:
        """Up to where the kernel may write again."""
        return int(self._consumer[0])

    def read(self, max_bytes: int) -> tuple[Array, Array, int]:
        """The records that begin within the next `max_bytes`, without waiting.

        A buffer (uint8, with `PAD` bytes of anything after the last record), the offsets in it where records begin (int64), and
        the position after them, for `publish`, until which the buffer holds. Nothing new: no offsets. Raises `RingError`.
        """
        start, produced = self.position, self.produced
        stop = min(produced, start + max_bytes)
        parts = [np.zeros(0, np.int64)]
        at = start
        while at < stop:
            headers, end = self._walk(at, min(stop, at + _BLOCK))
            if end == at:
                break
            parts.append(headers + (at - start + _HEADER))
            at = end
        if at > produced:
            raise RingError(f"a record ends at {at}, beyond the {produced} bytes that were written")
        first, length = start & (self.size - 1), at - start
        buf = self._data[first : first + length + PAD]
        if len(buf) < length + PAD:  # it ends with the second of the two mappings
            buf = np.concatenate([buf[:length], np.zeros(PAD, np.uint8)])
        self.position = at
        return buf, np.concatenate(parts), at

    def publish(self, position: int) -> None:
        """What lies before `position` is safe: the kernel may write there again. Raises ValueError for what was not read."""
        if not self.published <= position <= self.position:
            raise ValueError(f"{position} is not between {self.published} (published) and {self.position} (read)")
        self._consumer[0] = position

    def _ends_record(self, position: int) -> bool:
        at = self.position
        while at < position:
            _offsets, end = self._walk(at, min(position, at + _BLOCK))
            if end == at:
                return False
            at = end
        return at == position

    def _walk(self, start: int, stop: int) -> tuple[Array, int]:
        """The finished records that begin at `start` and before `stop`: their headers relative to `start`, and where they end."""
        first = start & (self.size - 1)
        limit = min(first + stop - start, self.size)  # the first of the two mappings
        found = self._search(first, limit) if self._mean < _LARGE else None
        if found is None:
            found = self._follow(first, limit)
        headers, lengths, end = found
        self._mean = (end - first) // max(len(headers), 1)
        return headers[lengths & _DISCARDED == 0] - first, start + end - first

    def _search(self, first: int, limit: int) -> tuple[Array, Array, int] | None:
        """All headers at once: they are the words that end with the number of their own page.

        Bytes of a payload may look like that, too. The answer is trusted only if each header leads exactly to the next one from a
        known beginning up to the first that is busy (behind which old headers may lie); otherwise there is none.
        """
        page, last = first // _PAGE, (limit - 1) // _PAGE + 1
        number = int(self._pages[page, first // 8 % _PAGE_WORDS])
        numbers = np.arange(number, number + last - page, dtype=np.uint32)
        words = np.flatnonzero(self._pages[page:last] == numbers[:, None]) + page * _PAGE_WORDS
        words = words[np.searchsorted(words, first // 8) : np.searchsorted(words, -(-limit // 8))]
        lengths = self._lengths[words].astype(np.int64)
        busy = np.flatnonzero(lengths & _BUSY)[:1]
        words = words[: busy[0] + 1] if len(busy) else words
        headers, lengths = words * 8, lengths[: len(words)]
        ends = headers + _stride(lengths)
        if (ends[:-1] != headers[1:]).any():
            return None
        whole = len(words) - len(busy)
        return headers[:whole], lengths[:whole], int(ends[whole - 1]) if whole else first

    def _follow(self, first: int, limit: int) -> tuple[Array, Array, int]:
        """One header after the other."""
        plain = self._plain
        headers: list[int] = []
        lengths: list[int] = []
        at = first
        while at < limit:
            length = plain[at >> 2]
            if length & _BUSY:
                break
            headers.append(at)
            lengths.append(length)
            at += _stride(length)
        return np.array(headers, np.int64), np.array(lengths, np.int64), at


def _stride(length: Any) -> Any:
    """From one header to the next."""
    return ((length & _LENGTH) + (_HEADER + 7)) & ~7
