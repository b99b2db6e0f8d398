"""The UTXO cache."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Level, Table


class Utxocache(Table):
    """UTXO-cache figures of one second (counted in the kernel), or one flush."""

    level = Level.LIGHT

    event: Annotated[str, c.label("second or flush.")]
    added: Annotated[int | None, c.count("Coins added in that second.", nullable=True)]
    spent: Annotated[int | None, c.count("Coins spent in that second.", nullable=True)]
    uncached: Annotated[int | None, c.count("Coins uncached in that second, as when a transaction is refused.", nullable=True)]
    duration: Annotated[int | None, Column("How long the flush took.", pa.int64(), Semantic.DURATION, unit="us", nullable=True)]
    mode: Annotated[str | None, c.label("Flush mode: none, if_needed, periodic, always or other.", nullable=True)]
    coins: Annotated[int | None, c.count("Coins in the cache before the flush.", nullable=True)]
    memory: Annotated[int | None, c.octets("Memory of the cache before the flush.", nullable=True)]
    for_prune: Annotated[bool | None, c.flag("Whether pruning caused the flush.", nullable=True)]
