"""`inv`, `getdata` and `notfound`: lists of transactions and blocks by their ids."""

from __future__ import annotations

import numpy as np

from peerwatch.schema.batch import Array
from peerwatch.schema.tables.inventory import Inventory
from peerwatch.wire.columns import labels
from peerwatch.wire.dissector import Dissected, Dissector, Payloads
from peerwatch.wire.keyed_hash import BLOCK, ID_BYTES, keyed_hash
from peerwatch.wire.layout import COMPACT_SIZE_BYTES, Cursor, matrix

MAX_INV_SZ = 50_000
"""Entries that one message may hold (Core, net_processing.cpp)."""
KIND_BYTES = 4
ENTRY_BYTES = KIND_BYTES + ID_BYTES


class InventoryDissector(Dissector):
    """A counted list of entries: type (u32) and id (32 bytes)."""

    types = ("inv", "getdata", "notfound")
    table = Inventory
    needs = COMPACT_SIZE_BYTES + MAX_INV_SZ * ENTRY_BYTES
    source = "Core, protocol.h: CInv; net_processing.cpp: NetMsgType::INV, GETDATA, NOTFOUND"

    def dissect(self, payloads: Payloads) -> Dissected:
        """One row for each entry that is wholly there."""
        c = Cursor.over(payloads)
        entries = c.entries(c.count(MAX_INV_SZ), ENTRY_BYTES)
        kind, item = _hashed(payloads.buf, entries.at, payloads.key)
        columns = {
            "idx": entries.idx,
            "message": labels(payloads.kinds(self.types)[entries.message], self.types),
            "kind": kind,
            "item": item,
        }
        return Dissected(columns, entries.message, c.finish())


def _hashed(buf: Array, at: Array, key: bytes) -> tuple[Array, Array]:
    """Types and hashed ids of the entries at offsets `at`: some at a time, while they are in the processor's cache."""
    kind, item = np.empty(len(at), np.uint32), np.empty(len(at), np.uint64)
    for first in range(0, len(at), BLOCK):
        block = slice(first, first + BLOCK)
        entry = matrix(buf, at[block], ENTRY_BYTES)
        kind[block] = entry.view("<u4")[:, 0]
        item[block] = keyed_hash(entry[:, KIND_BYTES:], key)
    return kind, item
