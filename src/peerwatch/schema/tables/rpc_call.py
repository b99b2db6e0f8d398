"""What looking at the node cost it."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Table


class RpcCall(Table):
    """One call of the node's RPC interface."""

    is_state = True

    method: Annotated[str, c.label("Method.")]
    duration: Annotated[int, Column("From the request to the last byte of the answer.", pa.int64(), Semantic.DURATION, unit="ns")]
    decoding: Annotated[int, Column("Time that we took to read it.", pa.int64(), Semantic.DURATION, unit="ns")]
    bytes: Annotated[int, c.octets("Size of the answer.")]
    rows: Annotated[int, c.count("Rows made of it.")]
    error: Annotated[
        str | None,
        c.label(
            "What went wrong: refused, timeout, unauthorized, forbidden, unknown, warming_up, unreadable or rpc.", nullable=True
        ),
    ]
