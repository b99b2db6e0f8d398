"""What the node sent to our own peer in a minute, by message type."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Table


class ProbeTraffic(Table):
    """What the node sent to our own peer in a minute, by message type."""

    is_state = True

    address: Annotated[str, c.text("Our end of the connection, address and port.")]
    type: Annotated[str, c.label("Message type.", untrusted=True)]
    messages: Annotated[int, c.count("Messages.")]
    bytes: Annotated[int, c.octets("Their payload bytes.")]
    entries: Annotated[int, c.count("Entries of addr, addrv2, inv and headers in them.")]
    fee_filter: Annotated[
        int | None, Column("Fee rate of the last feefilter.", pa.int64(), Semantic.AMOUNT, unit="sat/kvB", nullable=True)
    ]
