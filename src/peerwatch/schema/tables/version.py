"""Handshakes."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Table


class Version(Table):
    """One `version` message."""

    peer: Annotated[int, c.PEER]
    inbound: Annotated[bool, c.INBOUND]
    protocol: Annotated[int, Column("Protocol version.", pa.int32(), Semantic.NUMBER, untrusted=True)]
    services: Annotated[int, Column("Service bits of the sender.", pa.uint64(), Semantic.NUMBER, untrusted=True)]
    time: Annotated[int, Column("Clock of the sender.", pa.int64(), Semantic.TIME, unit="s", untrusted=True)]
    receiver_services: Annotated[
        int | None,
        Column(
            "Service bits that the sender assumes of the receiver.", pa.uint64(), Semantic.NUMBER, nullable=True, untrusted=True
        ),
    ]
    receiver_ip: Annotated[
        bytes | None,
        Column(
            "Address of the receiver as the sender sees it, 16 bytes, IPv4-mapped.",
            pa.binary(16),
            Semantic.ADDRESS,
            nullable=True,
            untrusted=True,
        ),
    ]
    receiver_port: Annotated[
        int | None,
        Column("Port of the receiver as the sender sees it.", pa.uint16(), Semantic.NUMBER, nullable=True, untrusted=True),
    ]
    sender_ip: Annotated[
        bytes | None,
        Column(
            "Address of the sender as it says, 16 bytes, IPv4-mapped; Core sends zeros.",
            pa.binary(16),
            Semantic.ADDRESS,
            nullable=True,
            untrusted=True,
        ),
    ]
    sender_port: Annotated[
        int | None, Column("Port of the sender as it says.", pa.uint16(), Semantic.NUMBER, nullable=True, untrusted=True)
    ]
    nonce: Annotated[
        int | None,
        Column("Random nonce for noticing connections to oneself.", pa.uint64(), Semantic.NUMBER, nullable=True, untrusted=True),
    ]
    user_agent: Annotated[
        str | None,
        c.text("Software of the sender (BIP 14), at most 256 bytes, unprintable bytes escaped.", nullable=True, untrusted=True),
    ]
    start_height: Annotated[
        int | None, Column("Best height of the sender.", pa.int32(), Semantic.NUMBER, nullable=True, untrusted=True)
    ]
    relay: Annotated[
        bool | None,
        c.flag("Whether the sender wants transactions announced (BIP 37); null when absent.", nullable=True, untrusted=True),
    ]
