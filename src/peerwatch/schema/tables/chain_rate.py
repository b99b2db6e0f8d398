"""What `getchaintxstats` said."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Level, Table


class ChainRate(Table):
    """What `getchaintxstats` said."""

    level = Level.LIGHT
    is_state = True

    transactions: Annotated[int | None, c.count("Transactions in the chain.", nullable=True)]
    window_blocks: Annotated[int | None, c.count("Blocks of the window, which ends with the newest.", nullable=True)]
    window_transactions: Annotated[int | None, c.count("Transactions in it.", nullable=True)]
    window: Annotated[int | None, Column("Length of it.", pa.int64(), Semantic.DURATION, unit="s", nullable=True)]
    rate: Annotated[float | None, Column("Transactions a second in it.", pa.float64(), Semantic.NUMBER, nullable=True)]
