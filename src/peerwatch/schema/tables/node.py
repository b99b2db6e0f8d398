"""Nodes and what can be seen of them."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Level, Table


class Node(Table):
    """A node's process came, changed or went; what a source can see of it."""

    level = Level.LIGHT

    event: Annotated[str, c.label("started, found (it ran before us), exited, or seen by a source without a process.")]
    pid: Annotated[int | None, Column("Process id.", pa.int64(), Semantic.NUMBER, nullable=True)]
    started: Annotated[int | None, c.time_ns("When the process started.", nullable=True)]
    version: Annotated[str | None, c.text("Version of the node, where it can be told.", nullable=True)]
    chain: Annotated[str | None, c.label("main, test, testnet4, signet or regtest, where it can be told.", nullable=True)]
    probes: Annotated[str | None, c.text("Probes attached, comma-separated.", nullable=True)]
    missing: Annotated[
        str | None, c.text("Probes that the binary lacks or that were not understood, each with why.", nullable=True)
    ]
