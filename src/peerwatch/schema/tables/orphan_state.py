"""Transactions whose parents are missing."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Table


class OrphanState(Table):
    """Orphan transactions by who announced them, and of all peers together; what `getorphantxs` said."""

    is_state = True

    peer: Annotated[
        int | None,
        Column(
            "The node's own id of the peer that announced them; null for all peers together.",
            pa.int64(),
            Semantic.PEER,
            nullable=True,
        ),
    ]
    transactions: Annotated[int, c.count("Orphans; one announced by several peers counts for each.")]
    bytes: Annotated[int, c.octets("Their size.")]
