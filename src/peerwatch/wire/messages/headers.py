"""`headers`: chains of block headers, announced or in answer to `getheaders`."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from peerwatch.schema.batch import Array
from peerwatch.schema.tables.headers import Headers
from peerwatch.wire.block_header import BITS_AT, HEADER_BYTES, PREVIOUS_AT, TIME_AT, header_hashes
from peerwatch.wire.columns import fixed_bytes, nullable
from peerwatch.wire.dissector import Dissected, Dissector, Payloads
from peerwatch.wire.keyed_hash import ID_BYTES
from peerwatch.wire.layout import COMPACT_SIZE_BYTES, Cursor, Entries, fields, matrix, numbered
from peerwatch.wire.transactions import MAX_SIZE, WIDE

MAX_HEADERS_RESULTS = 2000
"""Headers that one message may hold (Core, net_processing.h)."""
ENTRY_BYTES = HEADER_BYTES + 1
"""An entry as nodes send it: its count of transactions is 0."""


class HeadersDissector(Dissector):
    """A counted list of headers, each followed by a count of transactions.

    As in Core, that count must be a proper one, and means nothing: no transactions follow, whatever it says. It is 0 in what
    nodes send, but a peer may as well write one of several bytes.
    """

    types = ("headers",)
    table = Headers
    needs = COMPACT_SIZE_BYTES + MAX_HEADERS_RESULTS * (HEADER_BYTES + COMPACT_SIZE_BYTES)
    source = "Core, net_processing.cpp: NetMsgType::HEADERS"

    def dissect(self, payloads: Payloads) -> Dissected:
        """One row for each message whose count is there, of the headers that are wholly there, with their counts."""
        c = Cursor.over(payloads)
        counts = c.count(MAX_HEADERS_RESULTS)
        message = np.flatnonzero(c.live)
        entries = _entries(c, counts)
        e = c.nested(entries)
        e.skip(HEADER_BYTES)
        e.length(MAX_SIZE)
        entries = entries.where(c.adopt(e, entries))
        return Dissected(_chains(c.buf, entries, message), message, c.finish())


def _entries(c: Cursor, counts: Array) -> Entries:
    """Where entries begin, up to the first that does not end in its payload. Nothing else is checked here."""
    counts = np.where(c.live, counts, 0)
    message, idx = numbered(np.where(c.live, np.minimum(counts, (c.limit - c.pos) // ENTRY_BYTES + 1), 0))
    at = c.pos[message] + idx.astype(np.int64) * ENTRY_BYTES
    count_at = at + HEADER_BYTES
    if (c.buf[count_at[count_at < c.limit[message]]] < WIDE).all():
        return Entries(message, idx, at)
    return _hopped(c, counts)


def _hopped(c: Cursor, counts: Array) -> Entries:
    """The same when there may be counts of several bytes: found by hopping from one to the next."""
    view = c.buf.data
    starts: list[int] = []
    found: list[int] = []
    for at, count, limit in zip(c.pos.tolist(), counts.tolist(), c.limit.tolist(), strict=True):
        before = len(starts)
        for _ in range(count):
            starts.append(at)
            at += HEADER_BYTES  # noqa: PLW2901 - hops on
            if at >= limit:
                break
            first = view[at]
            at += 1 if first < WIDE else 1 + (2 << first - WIDE)  # noqa: PLW2901 - as above
            if at > limit:
                break
        found.append(len(starts) - before)
    return Entries(*numbered(np.array(found, np.int64)), np.array(starts, np.int64))


def _chains(buf: Array, entries: Entries, message: Array) -> dict[str, pa.Array]:
    """The columns of the table, for the payloads `message`."""
    of, at = entries.message, entries.at
    hashes, previous = header_hashes(buf, at), matrix(buf, at + PREVIOUS_AT, ID_BYTES)
    follows = (hashes[:-1] == previous[1:]).all(axis=1) | (of[:-1] != of[1:])
    payloads = int(message[-1]) + 1 if len(message) else 0
    count = np.bincount(of, minlength=payloads)[message]
    breaks = np.bincount(of[1:][~follows], minlength=payloads)[message]
    last = np.cumsum(count) - 1
    first = last - count + 1
    some = count > 0
    return {
        "headers": pa.array(count.astype(np.int32)),
        "breaks": pa.array(breaks.astype(np.int32)),
        "previous": _picked(previous, first, some),
        "first": _picked(hashes, first, some),
        "last": _picked(hashes, last, some),
        "first_time": _picked(fields(buf, at + TIME_AT, "<u4"), first, some),
        "last_time": _picked(fields(buf, at + TIME_AT, "<u4"), last, some),
        "last_bits": _picked(fields(buf, at + BITS_AT, "<u4"), last, some),
    }


def _picked(values: Array, which: Array, valid: Array) -> pa.Array:
    """Numbers or hashes, by index; null where not `valid`."""
    picked = np.zeros((len(which), *values.shape[1:]), values.dtype)
    picked[valid] = values[which[valid]]
    return (fixed_bytes if values.ndim > 1 else nullable)(picked, valid)
