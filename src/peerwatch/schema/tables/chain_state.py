"""What `getblockchaininfo` said."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Level, Table


class ChainState(Table):
    """What `getblockchaininfo` said."""

    level = Level.LIGHT
    is_state = True

    blocks: Annotated[int | None, Column("Height of the chain.", pa.int64(), Semantic.NUMBER, nullable=True)]
    headers: Annotated[int | None, Column("Height of the headers.", pa.int64(), Semantic.NUMBER, nullable=True)]
    best_block: Annotated[bytes | None, c.hash32("Hash of the newest block.", nullable=True)]
    median_time: Annotated[
        int | None, Column("Median time of the last 11 blocks.", pa.int64(), Semantic.TIME, unit="s", nullable=True)
    ]
    progress: Annotated[
        float | None,
        Column("Share of all transactions that are verified, estimated.", pa.float64(), Semantic.NUMBER, nullable=True),
    ]
    initial_download: Annotated[bool | None, c.flag("Whether the node is still in the initial block download.", nullable=True)]
    disk: Annotated[int | None, c.octets("Bytes of blocks and undo data on disk.", nullable=True)]
    pruned: Annotated[bool | None, c.flag("Whether old blocks are removed.", nullable=True)]
    warnings: Annotated[str | None, c.text("Warnings of the node.", nullable=True)]
