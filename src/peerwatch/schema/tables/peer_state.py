"""What the node says of its peers."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Table


class PeerState(Table):
    """A peer of the node as `getpeerinfo` tells of it, every few seconds."""

    is_state = True

    peer: Annotated[int, c.PEER]
    address: Annotated[str | None, c.text("Address and port of the peer as the node writes it.", nullable=True, untrusted=True)]
    network: Annotated[
        str | None,
        c.label("Core's name of the network: ipv4, ipv6, onion, i2p, cjdns, internal or not_publicly_routable.", nullable=True),
    ]
    inbound: Annotated[bool | None, c.flag("True when the peer opened the connection.", nullable=True)]
    conn_type: Annotated[
        str | None,
        c.label(
            "Core's connection type: inbound, outbound-full-relay, block-relay-only, manual, feeler, addr-fetch and others.",
            nullable=True,
        ),
    ]
    transport: Annotated[str | None, c.label("Transport of the connection: detecting, v1 or v2.", nullable=True)]
    protocol: Annotated[
        int | None, Column("Protocol version of the peer.", pa.int64(), Semantic.NUMBER, nullable=True, untrusted=True)
    ]
    user_agent: Annotated[str | None, c.text("User agent of the peer, as the node cleaned it.", nullable=True, untrusted=True)]
    services: Annotated[
        int | None, Column("Service bits of the peer.", pa.uint64(), Semantic.NUMBER, nullable=True, untrusted=True)
    ]
    established: Annotated[int | None, c.time_ns("When the connection was made; whole seconds.", nullable=True)]
    last_send: Annotated[
        int | None, c.time_ns("When the node last sent something; whole seconds, null for never.", nullable=True)
    ]
    last_receive: Annotated[
        int | None, c.time_ns("When the node last received something; whole seconds, null for never.", nullable=True)
    ]
    last_transaction: Annotated[
        int | None, c.time_ns("When the peer last gave a transaction that was new and valid; null for never.", nullable=True)
    ]
    last_block: Annotated[
        int | None, c.time_ns("When the peer last gave a block that was new and valid; null for never.", nullable=True)
    ]
    bytes_sent: Annotated[int | None, c.octets("Bytes sent since the connection was made, transport included.", nullable=True)]
    bytes_received: Annotated[
        int | None, c.octets("Bytes received since the connection was made, transport included.", nullable=True)
    ]
    time_offset: Annotated[
        int | None,
        Column(
            "Clock of the peer minus that of the node.", pa.int64(), Semantic.DURATION, unit="s", nullable=True, untrusted=True
        ),
    ]
    ping: Annotated[
        int | None, Column("Last time between ping and pong.", pa.int64(), Semantic.DURATION, unit="ns", nullable=True)
    ]
    ping_least: Annotated[
        int | None, Column("Shortest time between ping and pong.", pa.int64(), Semantic.DURATION, unit="ns", nullable=True)
    ]
    ping_waiting: Annotated[
        int | None,
        Column("How long a pong is outstanding; null when none is.", pa.int64(), Semantic.DURATION, unit="ns", nullable=True),
    ]
    starting_height: Annotated[
        int | None,
        Column(
            "Height of the chain that the peer said at the start.", pa.int64(), Semantic.NUMBER, nullable=True, untrusted=True
        ),
    ]
    presynced_headers: Annotated[
        int | None,
        Column(
            "Height that headers of the peer reach which are not stored yet; null for none.",
            pa.int64(),
            Semantic.NUMBER,
            nullable=True,
        ),
    ]
    synced_headers: Annotated[
        int | None, Column("Height of the last header in common; null for none.", pa.int64(), Semantic.NUMBER, nullable=True)
    ]
    synced_blocks: Annotated[
        int | None, Column("Height of the last block in common; null for none.", pa.int64(), Semantic.NUMBER, nullable=True)
    ]
    blocks_in_flight: Annotated[int | None, c.count("Blocks that were requested of the peer and have not come.", nullable=True)]
    high_bandwidth_to: Annotated[
        bool | None, c.flag("Whether the node asked the peer to send compact blocks at once (BIP 152).", nullable=True)
    ]
    high_bandwidth_from: Annotated[bool | None, c.flag("Whether the peer asked the node to (BIP 152).", nullable=True)]
    relay_txs: Annotated[bool | None, c.flag("Whether transactions are relayed to the peer.", nullable=True)]
    addr_relay: Annotated[bool | None, c.flag("Whether addresses are relayed with the peer.", nullable=True)]
    addr_processed: Annotated[int | None, c.count("Addresses of the peer that were processed.", nullable=True)]
    addr_rate_limited: Annotated[int | None, c.count("Addresses of the peer that the rate limit dropped.", nullable=True)]
    permissions: Annotated[str | None, c.text("Permissions of the peer, comma-separated.", nullable=True)]
    fee_filter: Annotated[
        int | None,
        Column(
            "Lowest fee rate that the peer wants to hear of.",
            pa.int64(),
            Semantic.AMOUNT,
            unit="sat/kvB",
            nullable=True,
            untrusted=True,
        ),
    ]
    inv_to_send: Annotated[int | None, c.count("Transactions waiting to be announced to the peer (from v31).", nullable=True)]
    last_inv_sequence: Annotated[
        int | None,
        Column("Mempool sequence of the last announcement to the peer (from v31).", pa.int64(), Semantic.NUMBER, nullable=True),
    ]
    cpu_load: Annotated[
        float | None,
        Column(
            "Share of the node's processing time that the peer took, as the node says (patched nodes).",
            pa.float64(),
            Semantic.NUMBER,
            nullable=True,
        ),
    ]
    mapped_as: Annotated[
        int | None,
        Column(
            "Autonomous system of the peer by the node's own asmap; null without one.", pa.int64(), Semantic.NUMBER, nullable=True
        ),
    ]
