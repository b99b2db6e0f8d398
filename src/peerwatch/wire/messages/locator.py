"""`getheaders` and `getblocks`: where its sender is on the chain, and up to where it wants more."""

from __future__ import annotations

import numpy as np

from peerwatch.schema.tables.locator import Locator
from peerwatch.wire.columns import fixed_bytes, labels
from peerwatch.wire.dissector import Dissected, Dissector, Payloads, WireError
from peerwatch.wire.layout import COMPACT_SIZE_BYTES, HASH_BYTES, Cursor, matrix

MAX_LOCATOR_SZ = 101
"""Hashes that a locator may have (Core, net_processing.cpp)."""


class LocatorDissector(Dissector):
    """A version (u32, which nobody looks at), a counted list of block hashes from the tip backwards, and the hash to stop at.

    Behind more hashes than are allowed the one to stop at is not looked for.
    """

    types = ("getheaders", "getblocks")
    table = Locator
    needs = 4 + COMPACT_SIZE_BYTES + (MAX_LOCATOR_SZ + 1) * HASH_BYTES
    source = "Core, primitives/block.h: CBlockLocator; net_processing.cpp: NetMsgType::GETHEADERS, GETBLOCKS"

    def dissect(self, payloads: Payloads) -> Dissected:
        """One row for each message whose version is there; `hashes` are those sent, be they kept or not."""
        c = Cursor.over(payloads)
        version = c.u32()
        message = np.flatnonzero(c.live)
        count = c.count(MAX_LOCATOR_SZ)
        at = c.pos
        hashes = c.body(count, HASH_BYTES)
        has_tip = (hashes > 0) & (at + HASH_BYTES <= c.limit)
        c.fail(c.error == WireError.OVER_LIMIT, WireError.NONE)
        stop = c.octets(HASH_BYTES)
        columns = {
            "message": labels(payloads.kinds(self.types)[message], self.types),
            "version": version[message],
            "hashes": hashes[message].astype(np.int32),
            "tip": fixed_bytes(matrix(payloads.buf, at[message], HASH_BYTES), has_tip[message]),
            "stop": fixed_bytes(stop[message], c.live[message]),
        }
        return Dissected(columns, message, c.finish())
