"""Block headers: their layout, and their hashes."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa

from peerwatch.schema.batch import Array
from peerwatch.wire.columns import fixed_bytes, nullable
from peerwatch.wire.keyed_hash import ID_BYTES
from peerwatch.wire.layout import Cursor

HEADER_BYTES = 80
"""Version (i32), previous block, Merkle root (32 bytes each), time, bits, nonce (u32 each) (Core, primitives/block.h)."""
PREVIOUS_AT, TIME_AT, BITS_AT = 4, 68, 72
"""Where these begin in a header."""


def read_header(c: Cursor) -> dict[str, pa.Array]:
    """Read a header; the columns of `block_relay` that speak of it, null for payloads that are not live then."""
    at = c.pos
    version, previous, merkle_root = c.i32(), c.octets(ID_BYTES), c.octets(ID_BYTES)
    time, bits, nonce = c.u32(), c.u32(), c.u32()
    whole = c.live
    hashes = np.zeros((len(at), ID_BYTES), np.uint8)
    hashes[whole] = header_hashes(c.buf, at[whole])
    return {
        "hash": fixed_bytes(hashes, whole),
        "version": nullable(version, whole),
        "previous": fixed_bytes(previous, whole),
        "merkle_root": fixed_bytes(merkle_root, whole),
        "time": nullable(time, whole),
        "bits": nullable(bits, whole),
        "nonce": nullable(nonce, whole),
    }


def header_hashes(buf: Array, at: Array) -> Array:
    """Hashes (uint8, shape (headers, 32)) of the headers that begin at the offsets `at` of `buf`, and lie wholly in it."""
    view, sha256 = buf.data, hashlib.sha256
    hashes = [sha256(sha256(view[start : start + HEADER_BYTES]).digest()).digest() for start in at.tolist()]
    return np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, ID_BYTES)
