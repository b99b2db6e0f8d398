"""Banned addresses."""

from __future__ import annotations

from typing import Annotated

from peerwatch.schema import columns as c
from peerwatch.schema.table import Level, Table


class Ban(Table):
    """An address or subnet was banned or is so no longer, seen in `listbanned`."""

    level = Level.LIGHT
    is_state = True

    event: Annotated[str, c.label("present (from before), added or removed.")]
    subnet: Annotated[str, c.text("Address or subnet.", untrusted=True)]
    created: Annotated[int | None, c.time_ns("When it was banned.", nullable=True)]
    until: Annotated[int | None, c.time_ns("Until when.", nullable=True)]
