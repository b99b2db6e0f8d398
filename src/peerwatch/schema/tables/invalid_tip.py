"""An invalid block that the node knows as the end of a chain, when it is seen first."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Level, Table


class InvalidTip(Table):
    """An invalid block that the node knows as the end of a chain, when it is seen first; what `getchaintips` said."""

    level = Level.LIGHT
    is_state = True

    hash: Annotated[bytes, c.hash32("Hash of the block.")]
    height: Annotated[int, Column("Its height.", pa.int64(), Semantic.NUMBER)]
    branch: Annotated[int, c.count("Blocks between it and the main chain.")]
