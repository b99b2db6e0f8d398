"""What is recorded at level `full` only: payloads as they were, and the whole ids of inventory."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from peerwatch.schema.batch import Array, Rows
from peerwatch.schema.table import Identity
from peerwatch.schema.tables.inventory import Inventory
from peerwatch.schema.tables.inventory_id import InventoryId
from peerwatch.schema.tables.payload import Payload
from peerwatch.wire.columns import labels
from peerwatch.wire.dissect import Dissection
from peerwatch.wire.keyed_hash import ID_BYTES
from peerwatch.wire.layout import COMPACT_SIZE_BYTES, matrix
from peerwatch.wire.messages.inv import ENTRY_BYTES, KIND_BYTES
from peerwatch.wire.raw import RawMessages

_COUNT_BYTES = np.ones(256, np.int64)
_COUNT_BYTES[253:] = 3, 5, COMPACT_SIZE_BYTES
"""Length of a compact size by its first byte."""


def bodies(identity: Identity, raw: RawMessages, dissection: Dissection) -> dict[str, pa.RecordBatch]:
    """Rows of `payload` and `inventory_id`, as far as there are any, of dissected messages."""
    made = {Payload.name: payloads(identity, raw)}
    if (inventory := dissection.tables.get(Inventory.name)) is not None:
        made[InventoryId.name] = inventory_ids(identity, raw, inventory, dissection.message_of[Inventory.name])
    return {name: rows for name, rows in made.items() if rows.num_rows}


def payloads(identity: Identity, raw: RawMessages) -> pa.RecordBatch:
    """Rows of `payload` for all messages of which anything was kept."""
    of = np.flatnonzero(raw.kept)
    start, kept = raw.start[of], raw.kept[of]
    view = raw.buf.data
    body = b"".join([view[at : at + n] for at, n in zip(start.tolist(), kept.tolist(), strict=True)])
    offsets = np.zeros(len(of) + 1, np.int64)
    np.cumsum(kept, out=offsets[1:])
    columns = {
        "ts": raw.ts[of],
        "seq": raw.seq[of],
        "peer": raw.peer[of],
        "inbound": raw.inbound[of],
        "type": labels(raw.type[of], raw.names),
        "size": raw.size[of].astype(np.uint32),
        "payload": pa.Array.from_buffers(pa.large_binary(), len(of), [None, pa.py_buffer(offsets), pa.py_buffer(body)]),
    }
    return Payload.build(identity, columns)


def inventory_ids(identity: Identity, raw: RawMessages, inventory: pa.RecordBatch, of: Array) -> pa.RecordBatch:
    """Rows of `inventory_id` for rows of `inventory` (of the messages `of`), one for one."""
    rows = Rows(inventory)
    start = raw.start[of]
    at = start + _COUNT_BYTES[raw.buf[start]] + rows["idx"].astype(np.int64) * ENTRY_BYTES + KIND_BYTES
    columns = {name: inventory.column(name) for name in ("ts", "seq", "idx", "peer", "inbound", "item")}
    return InventoryId.build(identity, {**columns, "id": matrix(raw.buf, at, ID_BYTES)})
