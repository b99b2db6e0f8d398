"""Messages by peer and type in ten seconds, as `debug.log` has them (category net)."""

from __future__ import annotations

from typing import Annotated

from peerwatch.schema import columns as c
from peerwatch.schema.table import Table


class LogTraffic(Table):
    """Messages by peer and type in ten seconds, as `debug.log` has them (category net)."""

    is_state = True

    peer: Annotated[int, c.PEER]
    inbound: Annotated[bool, c.INBOUND]
    type: Annotated[str, c.label("Message type.", untrusted=True)]
    messages: Annotated[int, c.count("Messages.")]
    bytes: Annotated[int, c.octets("Their payload bytes.")]
