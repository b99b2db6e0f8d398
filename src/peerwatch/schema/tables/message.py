"""P2P messages."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.table import Table


class Message(Table):
    """One P2P message that the node processed (inbound) or sent (outbound)."""

    peer: Annotated[int, c.PEER]
    inbound: Annotated[bool, c.INBOUND]
    type: Annotated[
        str,
        c.label("Message type; names that are not printable are escaped, and beyond a bound become `*other*`.", untrusted=True),
    ]
    size: Annotated[int, c.octets("Payload bytes on the wire.", pa.uint32())]
    kept: Annotated[int, c.octets("Payload bytes that we kept; fewer than size when we cut it.", pa.uint32())]
    unreadable: Annotated[bool, c.flag("True when a page of the payload could not be read; nothing of it is kept then.")]
    error: Annotated[str | None, c.label("What is wrong with what was sent; null when well formed.", nullable=True)]
