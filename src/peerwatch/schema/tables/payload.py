"""Whole payloads."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Level, Table


class Payload(Table):
    """What was kept of one message's payload; recorded at level `full` only."""

    level = Level.FULL

    peer: Annotated[int, c.PEER]
    inbound: Annotated[bool, c.INBOUND]
    type: Annotated[str, c.label("Message type, as in `message`.", untrusted=True)]
    size: Annotated[int, c.octets("Payload bytes on the wire.", pa.uint32())]
    payload: Annotated[bytes, Column("The bytes kept.", pa.large_binary(), Semantic.BYTES, unit="B", untrusted=True)]
