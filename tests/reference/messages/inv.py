"""`inv`, `getdata`, `notfound`, and the keyed hash of ids: NH over 32-bit words, then a keyed 64-bit finalizer."""

from __future__ import annotations

import struct

from hypothesis import strategies as st

from tests.reference.reader import Reader, Rows, compact_size

TYPES = ("inv", "getdata", "notfound")
MASK_32, MASK_64 = 2**32 - 1, 2**64 - 1


def item(id_: bytes, key: bytes) -> int:
    words = struct.unpack("<8I", id_)
    *keys, last = struct.unpack("<8IQ", key)
    keyed = [(w + k) & MASK_32 for w, k in zip(words, keys, strict=True)]
    value = sum(a * b for a, b in zip(keyed[::2], keyed[1::2], strict=True)) & MASK_64
    value ^= last
    for multiplier in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        value ^= value >> 33
        value = value * multiplier & MASK_64
    return value ^ (value >> 33)


def decode(reader: Reader, kind: str) -> Rows:
    for idx in range(reader.count(50_000)):
        entry = reader.take(36)
        yield {"idx": idx, "message": kind, "kind": int.from_bytes(entry[:4], "little"), "item": item(entry[4:], reader.key)}


def payloads(_kind: str) -> st.SearchStrategy[bytes]:
    entry = st.binary(min_size=36, max_size=36)
    return st.lists(entry, max_size=5).map(lambda entries: compact_size(len(entries)) + b"".join(entries))
