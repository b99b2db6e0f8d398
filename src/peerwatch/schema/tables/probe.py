"""What happened to our own peer of a node, which looks at it from outside. Its connection is excluded from detection."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Level, Table


class Probe(Table):
    """What happened to our own peer of a node, which looks at it from outside. Its connection is excluded from detection."""

    level = Level.LIGHT
    is_state = True

    event: Annotated[str, c.label("connecting (recorded before it does), connected, handshake, pong, closed or failed.")]
    address: Annotated[str, c.text("Our end of the connection, address and port, as the node sees it.")]
    transport: Annotated[str, c.label("v1 or v2.")]
    duration: Annotated[
        int | None,
        Column(
            "How long it took: to connect, to shake hands, from ping to pong, or until the connection ended.",
            pa.int64(),
            Semantic.DURATION,
            unit="ns",
            nullable=True,
        ),
    ]
    reason: Annotated[str | None, c.text("Why it failed or ended.", nullable=True)]
