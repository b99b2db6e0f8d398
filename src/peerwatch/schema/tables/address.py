"""Addresses gossiped."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Table


class Address(Table):
    """One address inside an `addr` or `addrv2` message."""

    idx: Annotated[int, c.IDX]
    peer: Annotated[int, c.PEER]
    inbound: Annotated[bool, c.INBOUND]
    time: Annotated[
        int, Column("When the address was last seen, as the sender says.", pa.uint32(), Semantic.TIME, unit="s", untrusted=True)
    ]
    services: Annotated[
        int, Column("Service bits of the address, as the sender says.", pa.uint64(), Semantic.NUMBER, untrusted=True)
    ]
    network: Annotated[str, c.label("ipv4, ipv6, torv2, torv3, i2p, cjdns or unknown (BIP 155).")]
    ip: Annotated[
        bytes | None,
        Column(
            "IPv4 (mapped), IPv6 or CJDNS address, 16 bytes; null for the others.",
            pa.binary(16),
            Semantic.ADDRESS,
            nullable=True,
            untrusted=True,
        ),
    ]
    key: Annotated[
        bytes | None,
        Column(
            "Bytes of a Tor, I2P or unknown address, at most 32 kept.",
            pa.binary(),
            Semantic.ADDRESS,
            nullable=True,
            untrusted=True,
        ),
    ]
    port: Annotated[int, Column("Port, as the sender says.", pa.uint16(), Semantic.NUMBER, untrusted=True)]
