"""Memory that the node locks."""

from __future__ import annotations

from typing import Annotated

from peerwatch.schema import columns as c
from peerwatch.schema.table import Level, Table


class MemoryState(Table):
    """What `getmemoryinfo` said."""

    level = Level.LIGHT
    is_state = True

    used: Annotated[int | None, c.octets("Bytes in use.", nullable=True)]
    free: Annotated[int | None, c.octets("Bytes free.", nullable=True)]
    total: Annotated[int | None, c.octets("Bytes managed.", nullable=True)]
    locked: Annotated[int | None, c.octets("Bytes that could be locked.", nullable=True)]
    chunks_used: Annotated[int | None, c.count("Chunks in use.", nullable=True)]
    chunks_free: Annotated[int | None, c.count("Chunks free.", nullable=True)]
