"""Handshakes that came to an end."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Level, Table


class Handshake(Table):
    """One connection's handshake, when both sides have sent `verack`, or when the connection ended before.

    ts and seq are those of the message (or the closing) that ended it. *Ours* is what the node sent, *theirs* what the peer sent.
    """

    level = Level.LIGHT

    peer: Annotated[int, c.PEER]
    inbound: Annotated[
        bool | None, c.flag("True when the peer opened the connection; null when that is not known.", nullable=True)
    ]
    complete: Annotated[bool, c.flag("Whether both sides sent version and verack.")]
    duration: Annotated[
        int | None,
        Column("From the first `version` to the second `verack`.", pa.int64(), Semantic.DURATION, unit="ns", nullable=True),
    ]
    first: Annotated[
        int | None,
        Column(
            "From the opening of the connection to its first message.", pa.int64(), Semantic.DURATION, unit="ns", nullable=True
        ),
    ]
    theirs: Annotated[
        str, c.text("Types that the peer sent until then, in order of their first, at most 24, comma-separated.", untrusted=True)
    ]
    ours: Annotated[str, c.text("Types that the node sent until then, likewise.")]
    wtxid_relay: Annotated[bool, c.flag("Both sides sent `wtxidrelay` (BIP 339).")]
    addrv2: Annotated[bool, c.flag("The peer sent `sendaddrv2` (BIP 155).", untrusted=True)]
    reconciliation: Annotated[bool, c.flag("Both sides sent `sendtxrcncl` (BIP 330).")]
