"""Where on the chain a peer says it is."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Table


class Locator(Table):
    """One `getheaders` or `getblocks`: a list of block hashes from the sender's tip backwards."""

    peer: Annotated[int, c.PEER]
    inbound: Annotated[bool, c.INBOUND]
    message: Annotated[str, c.label("getheaders or getblocks.")]
    version: Annotated[int, Column("Protocol version as sent.", pa.uint32(), Semantic.NUMBER, untrusted=True)]
    hashes: Annotated[int, c.count("Hashes that are wholly there.", pa.int32())]
    tip: Annotated[bytes | None, c.hash32("First hash; null when there is none.", nullable=True)]
    stop: Annotated[
        bytes | None, c.hash32("Hash to stop at, zeros for as many as possible; null when it is not there.", nullable=True)
    ]
