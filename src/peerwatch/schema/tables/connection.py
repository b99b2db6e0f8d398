"""Connections of a node and what happens to them."""

from __future__ import annotations

from typing import Annotated

from peerwatch.schema import columns as c
from peerwatch.schema.table import Level, Table


class Connection(Table):
    """A connection opened, described (it was there before us), closed, evicted or misbehaving."""

    level = Level.LIGHT

    peer: Annotated[int, c.PEER]
    event: Annotated[str, c.label("opened, described, closed, evicted or misbehaving.")]
    inbound: Annotated[bool | None, c.flag("True when the peer opened the connection.", nullable=True)]
    address: Annotated[str | None, c.text("Address and port of the peer as the node writes it.", nullable=True, untrusted=True)]
    network: Annotated[str | None, c.label("ipv4, ipv6, onion, i2p, cjdns, internal or unroutable.", nullable=True)]
    conn_type: Annotated[
        str | None,
        c.label("Core's connection type: inbound, outbound-full-relay, block-relay-only, feeler and others.", nullable=True),
    ]
    established: Annotated[int | None, c.time_ns("When the connection was established.", nullable=True)]
    open_connections: Annotated[
        int | None, c.count("Connections of this direction open at that moment, this one included.", nullable=True)
    ]
    reason: Annotated[str | None, c.text("Why the peer misbehaved, in the node's words.", nullable=True, untrusted=True)]
