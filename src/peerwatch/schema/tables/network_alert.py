"""Alerts of the network's former alert system."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Table


class NetworkAlert(Table):
    """One `alert`: a signed announcement to all nodes. Core has ignored them since v0.13 and published the key in 2018."""

    peer: Annotated[int, c.PEER]
    inbound: Annotated[bool, c.INBOUND]
    payload: Annotated[int, c.octets("Length of what was signed.", pa.uint32())]
    signature: Annotated[int | None, c.octets("Length of the signature.", pa.uint32(), nullable=True)]
    version: Annotated[int | None, Column("Format.", pa.int32(), Semantic.NUMBER, nullable=True, untrusted=True)]
    relay_until: Annotated[
        int | None, Column("Not to be relayed after.", pa.int64(), Semantic.TIME, unit="s", nullable=True, untrusted=True)
    ]
    expiration: Annotated[
        int | None, Column("Not in effect after.", pa.int64(), Semantic.TIME, unit="s", nullable=True, untrusted=True)
    ]
    id: Annotated[int | None, Column("Number of the alert.", pa.int32(), Semantic.NUMBER, nullable=True, untrusted=True)]
    cancel: Annotated[
        int | None, Column("Alerts up to this number are cancelled.", pa.int32(), Semantic.NUMBER, nullable=True, untrusted=True)
    ]
