"""Bytes by peer and message type, as the node counted them."""

from __future__ import annotations

from typing import Annotated

from peerwatch.schema import columns as c
from peerwatch.schema.table import Table


class PeerTraffic(Table):
    """Bytes of one message type with a peer since its connection was made, by `getpeerinfo`; a row when they changed."""

    is_state = True

    peer: Annotated[int, c.PEER]
    inbound: Annotated[bool, c.INBOUND]
    type: Annotated[
        str,
        c.label("Message type; `*other*` for those that the node does not know or could not read.", untrusted=True),
    ]
    bytes: Annotated[int, c.octets("Bytes so far, transport included: 24 a message in v1, 20 and the encoded type in v2.")]
