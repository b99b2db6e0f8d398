"""Blocks connected."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Level, Table


class Block(Table):
    """A block connected to the node's chain."""

    level = Level.LIGHT

    hash: Annotated[bytes, c.hash32("Block hash.")]
    height: Annotated[int, Column("Height.", pa.int32(), Semantic.NUMBER)]
    transactions: Annotated[int, c.count("Transactions in the block.")]
    inputs: Annotated[int, c.count("Inputs spent in the block.")]
    sigops: Annotated[int, c.count("Signature operations, those of the coinbase apart.")]
    duration: Annotated[
        int, Column("Time to connect it, as the probe says (µs up to v22, ns since).", pa.int64(), Semantic.DURATION, unit="ns")
    ]
