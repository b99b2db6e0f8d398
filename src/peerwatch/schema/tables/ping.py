"""Pings and pongs."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Table


class Ping(Table):
    """One `ping` or `pong`."""

    peer: Annotated[int, c.PEER]
    inbound: Annotated[bool, c.INBOUND]
    pong: Annotated[bool, c.flag("True for `pong`, false for `ping`.")]
    nonce: Annotated[
        int | None,
        Column(
            "Nonce that ties a pong to its ping; null in a `ping` before BIP 31.",
            pa.uint64(),
            Semantic.NUMBER,
            nullable=True,
            untrusted=True,
        ),
    ]
