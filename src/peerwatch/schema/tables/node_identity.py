"""What a node is."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Level, Table


class NodeIdentity(Table):
    """What a node is and how it is labelled; a row at the start and whenever something of it changed."""

    level = Level.LIGHT
    is_state = True

    changed: Annotated[
        str | None, c.text("Columns that changed, comma-separated; null in the first row of a session.", nullable=True)
    ]
    version: Annotated[int | None, Column("Version of the node, such as 290300.", pa.int64(), Semantic.NUMBER, nullable=True)]
    user_agent: Annotated[str | None, c.text("User agent of the node.", nullable=True)]
    protocol: Annotated[int | None, Column("Protocol version.", pa.int64(), Semantic.NUMBER, nullable=True)]
    services: Annotated[int | None, Column("Service bits that it offers.", pa.uint64(), Semantic.NUMBER, nullable=True)]
    service_names: Annotated[str | None, c.text("Their names, comma-separated.", nullable=True)]
    chain: Annotated[str | None, c.label("main, test, testnet4, signet or regtest.", nullable=True)]
    pruned: Annotated[bool | None, c.flag("Whether old blocks are removed.", nullable=True)]
    networks: Annotated[str | None, c.text("Networks that it can reach, comma-separated.", nullable=True)]
    proxied: Annotated[str | None, c.text("Those of them that go through a proxy, comma-separated.", nullable=True)]
    listens: Annotated[bool | None, c.flag("Whether it accepts connections, where that can be told.", nullable=True)]
    binds: Annotated[int | None, c.count("Addresses that its configuration binds to, where it can be read.", nullable=True)]
    relay_txs: Annotated[bool | None, c.flag("Whether it asks for transactions; false with -blocksonly.", nullable=True)]
    relay_fee: Annotated[
        int | None, Column("Lowest fee rate that it relays.", pa.int64(), Semantic.AMOUNT, unit="sat/kvB", nullable=True)
    ]
    own_addresses: Annotated[int | None, c.count("Addresses that it announces as its own.", nullable=True)]
    started: Annotated[int | None, c.time_ns("When it was started.", nullable=True)]
    organization: Annotated[str | None, c.label("Who runs it, by the configuration.", nullable=True)]
    region: Annotated[str | None, c.label("Where, by the configuration.", nullable=True)]
    role: Annotated[str | None, c.label("What it is for, by the configuration.", nullable=True)]
    variant: Annotated[str | None, c.label("What it runs, by the configuration: master, rc, release or another.", nullable=True)]
