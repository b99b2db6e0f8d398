"""The size of the mempool."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Level, Table


class MempoolState(Table):
    """What `getmempoolinfo` said."""

    level = Level.LIGHT
    is_state = True

    loaded: Annotated[bool | None, c.flag("Whether the mempool of the last run is loaded.", nullable=True)]
    transactions: Annotated[int | None, c.count("Transactions.", nullable=True)]
    vbytes: Annotated[
        int | None, Column("Virtual size of all transactions.", pa.int64(), Semantic.BYTES, unit="vB", nullable=True)
    ]
    memory: Annotated[int | None, c.octets("Memory used.", nullable=True)]
    memory_most: Annotated[int | None, c.octets("Memory that may be used.", nullable=True)]
    fee_least: Annotated[
        int | None, Column("Lowest fee rate that is accepted now.", pa.int64(), Semantic.AMOUNT, unit="sat/kvB", nullable=True)
    ]
    relay_fee_least: Annotated[
        int | None, Column("Lowest fee rate that is ever accepted.", pa.int64(), Semantic.AMOUNT, unit="sat/kvB", nullable=True)
    ]
    unbroadcast: Annotated[int | None, c.count("Transactions that no peer has asked for yet.", nullable=True)]
