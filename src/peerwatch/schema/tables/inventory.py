"""Inventory announced, requested and not found."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Table


class Inventory(Table):
    """One entry of an `inv`, `getdata` or `notfound` message."""

    idx: Annotated[int, c.IDX]
    peer: Annotated[int, c.PEER]
    inbound: Annotated[bool, c.INBOUND]
    message: Annotated[str, c.label("inv, getdata or notfound.")]
    kind: Annotated[
        int,
        Column(
            "Inventory type as sent: 1 tx, 2 block, 3 filtered block, 4 compact block, 5 wtx, +2^30 witness.",
            pa.uint32(),
            Semantic.NUMBER,
            untrusted=True,
        ),
    ]
    item: Annotated[
        int, Column("64-bit hash of the 32-byte id, keyed per archive: equal ids give equal items.", pa.uint64(), Semantic.HASH)
    ]
