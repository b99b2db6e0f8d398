"""Where peers are from."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Level, Table


class Origin(Table):
    """Where a peer is from, once a connection."""

    level = Level.LIGHT

    peer: Annotated[int, c.PEER]
    inbound: Annotated[bool | None, c.flag("True when the peer opened the connection.", nullable=True)]
    address: Annotated[str, c.text("Address of the peer, without its port.", untrusted=True)]
    network: Annotated[str, c.label("ipv4, ipv6, onion, i2p, cjdns, internal or unroutable.")]
    netgroup: Annotated[str, c.text("Netgroup as Core computes it without an asmap.", untrusted=True)]
    asn: Annotated[
        int | None,
        Column("Autonomous system, by the map that the configuration names.", pa.int64(), Semantic.NUMBER, nullable=True),
    ]
    asn_map: Annotated[str | None, c.text("Name and date of that map.", nullable=True)]
    lists: Annotated[str | None, c.text("Lists that the address is on, comma-separated.", nullable=True)]
    ours: Annotated[bool, c.flag("Whether it is our own probe peer, which is excluded from detection.")]
