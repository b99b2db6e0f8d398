"""Whole ids of inventory."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Level, Table


class InventoryId(Table):
    """The 32-byte id behind one entry of `inventory` (same seq and idx); recorded at level `full` only."""

    level = Level.FULL

    idx: Annotated[int, c.IDX]
    peer: Annotated[int, c.PEER]
    inbound: Annotated[bool, c.INBOUND]
    item: Annotated[int, Column("As in `inventory`.", pa.uint64(), Semantic.HASH)]
    id: Annotated[bytes, c.hash32("The id: a txid, wtxid or block hash.")]
