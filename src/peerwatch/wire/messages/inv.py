"""`inv`, `getdata` and `notfound`: lists of transactions and blocks by their ids."""

from __future__ import annotations

from peerwatch.schema.tables.inventory import Inventory
from peerwatch.wire.columns import labels
from peerwatch.wire.dissector import Dissected, Dissector, Payloads
from peerwatch.wire.keyed_hash import ID_BYTES, keyed_hash
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
        entry = matrix(payloads.buf, entries.at, ENTRY_BYTES)
        columns = {
            "idx": entries.idx,
            "message": labels(payloads.kinds(self.types)[entries.message], self.types),
            "kind": entry.view("<u4")[:, 0].copy(),
            "item": keyed_hash(entry[:, KIND_BYTES:], payloads.key),
        }
        return Dissected(columns, entries.message, c.finish())
