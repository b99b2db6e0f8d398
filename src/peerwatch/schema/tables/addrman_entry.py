"""The address manager, entry by entry."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Table


class AddrmanEntry(Table):
    """An entry of the address manager, and what became of it between two answers of `getrawaddrman`."""

    is_state = True

    event: Annotated[
        str,
        c.label(
            "present (at first), inserted, evicted, replaced (by another), moved (in its table), to_tried, to_new or updated."
        ),
    ]
    table: Annotated[str, c.label("new or tried.")]
    bucket: Annotated[int, Column("Bucket, by the node's secret key.", pa.int32(), Semantic.NUMBER)]
    position: Annotated[int, Column("Position in the bucket.", pa.int32(), Semantic.NUMBER)]
    address: Annotated[str, c.text("The address, without its port.", untrusted=True)]
    port: Annotated[int, Column("The port.", pa.uint16(), Semantic.NUMBER, untrusted=True)]
    network: Annotated[str, c.label("Network: ipv4, ipv6, onion, i2p or cjdns, or another name that the node gave.")]
    services: Annotated[
        int | None, Column("Service bits that are noted for it.", pa.uint64(), Semantic.NUMBER, nullable=True, untrusted=True)
    ]
    time: Annotated[
        int | None, Column("When it was last seen, as noted.", pa.int64(), Semantic.TIME, unit="s", nullable=True, untrusted=True)
    ]
    netgroup: Annotated[
        str | None, c.text("Netgroup of the address as Core computes it without an asmap.", nullable=True, untrusted=True)
    ]
    asn: Annotated[
        int | None,
        Column(
            "Autonomous system of the address: by the node's asmap, else by ours.", pa.int64(), Semantic.NUMBER, nullable=True
        ),
    ]
    from_address: Annotated[str | None, c.text("Address of the peer that it is from.", nullable=True, untrusted=True)]
    from_network: Annotated[str | None, c.label("Network of that peer.", nullable=True)]
    from_netgroup: Annotated[str | None, c.text("Netgroup of that peer.", nullable=True, untrusted=True)]
    from_asn: Annotated[int | None, Column("Autonomous system of that peer.", pa.int64(), Semantic.NUMBER, nullable=True)]
    old_table: Annotated[str | None, c.label("Table that it was in before, when it moved.", nullable=True)]
    old_bucket: Annotated[int | None, Column("Bucket before, when it moved.", pa.int32(), Semantic.NUMBER, nullable=True)]
    old_position: Annotated[int | None, Column("Position before, when it moved.", pa.int32(), Semantic.NUMBER, nullable=True)]
    old_services: Annotated[
        int | None, Column("Service bits before, when they changed.", pa.uint64(), Semantic.NUMBER, nullable=True, untrusted=True)
    ]
    old_time: Annotated[
        int | None, Column("Time before, when it changed.", pa.int64(), Semantic.TIME, unit="s", nullable=True, untrusted=True)
    ]
