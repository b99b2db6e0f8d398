"""The node's place in the network, and its traffic."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Level, Table


class NetworkState(Table):
    """What `getnetworkinfo` and `getnettotals` said."""

    level = Level.LIGHT
    is_state = True

    connections: Annotated[int | None, c.count("Connections.", nullable=True)]
    connections_in: Annotated[int | None, c.count("Inbound connections.", nullable=True)]
    connections_out: Annotated[int | None, c.count("Outbound connections.", nullable=True)]
    active: Annotated[bool | None, c.flag("Whether the node's network is switched on.", nullable=True)]
    time_offset: Annotated[
        int | None,
        Column("Median clock of the peers minus that of the node.", pa.int64(), Semantic.DURATION, unit="s", nullable=True),
    ]
    bytes_received: Annotated[int | None, c.octets("Bytes received since the node started.", nullable=True)]
    bytes_sent: Annotated[int | None, c.octets("Bytes sent since the node started.", nullable=True)]
    upload_target: Annotated[int | None, c.octets("Bytes that may be sent in a day; 0 for no limit.", nullable=True)]
    upload_target_reached: Annotated[bool | None, c.flag("Whether they were sent.", nullable=True)]
    warnings: Annotated[str | None, c.text("Warnings of the node.", nullable=True)]
