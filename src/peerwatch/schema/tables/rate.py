"""Messages per time."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Level, Table


class Rate(Table):
    """Messages and bytes of one direction and type in one interval; rows of the same interval add up."""

    level = Level.LIGHT

    width: Annotated[
        int, Column("Length of the interval, which starts at ts: 1, 60 or 3600.", pa.int32(), Semantic.DURATION, unit="s")
    ]
    peer: Annotated[
        int | None,
        Column("Peer id, in intervals of 60 s and 3600 s; null in those of 1 s.", pa.int64(), Semantic.PEER, nullable=True),
    ]
    inbound: Annotated[bool, c.INBOUND]
    type: Annotated[str, c.label("Message type, as in `message`.", untrusted=True)]
    messages: Annotated[int, c.count("Messages.")]
    bytes: Annotated[int, c.octets("Payload bytes on the wire.")]
    errors: Annotated[int, c.count("Messages that were not well formed.")]
