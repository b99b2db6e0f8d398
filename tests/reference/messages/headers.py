"""`headers`, as Core reads it (net_processing.cpp: NetMsgType::HEADERS)."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st

from tests.reference.blocks import header
from tests.reference.reader import Reader, Row, Rows, Stopped, compact_size
from tests.reference.transactions import MOST, listed, octets, sha256d

TYPES = ("headers",)


def decode(reader: Reader, _kind: str) -> Rows:
    found: list[Row] = []
    count = reader.count(2000)
    try:
        for _ in range(count):
            head = header(reader)
            reader.length(MOST)
            found.append(head)
    except Stopped:
        yield row(found)
        raise
    yield row(found)


def row(found: list[Row]) -> Row:
    first, last = (found[0], found[-1]) if found else ({}, {})
    return {
        "headers": len(found),
        "breaks": sum(a["hash"] != b["previous"] for a, b in pairwise(found)),
        "previous": first.get("previous"),
        "first": first.get("hash"),
        "last": last.get("hash"),
        "first_time": first.get("time"),
        "last_time": last.get("time"),
        "last_bits": last.get("bits"),
    }


def payloads(_kind: str) -> st.SearchStrategy[bytes]:
    """Chains, broken here and there, of headers with counts of transactions that are mostly 0."""

    def chain(parts: list[tuple[bytes, bool, int]]) -> bytes:
        entries: list[bytes] = []
        for data, follows, transactions in parts:
            previous = sha256d(entries[-1][:80]) if follows and entries else data[4:36]
            entries.append(data[:4] + previous + data[36:] + compact_size(transactions))
        return listed(entries)

    transactions = st.just(0) | st.sampled_from([1, 252, 253, 0xFFFF, 0x10000, MOST])
    return st.lists(st.tuples(octets(80), st.booleans(), transactions), max_size=5).map(chain)
