"""Addresses that must never become known."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Level, Table


class OwnAddress(Table):
    """An address of the node itself, when it is seen first. Never leaves the operator's hands: it is what sharing scrubs."""

    level = Level.LIGHT
    is_state = True

    origin: Annotated[str, c.label("Where it is from: localaddresses, addrlocal, addrbind or configured.")]
    address: Annotated[str, c.text("The address without its port, as the node writes it.")]
    port: Annotated[int | None, Column("The port, where there is one.", pa.uint16(), Semantic.NUMBER, nullable=True)]
