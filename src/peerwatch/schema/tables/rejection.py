"""Rejections told by peers."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Table


class Rejection(Table):
    """One `reject` (BIP 61): what the sender did not like. Core sent them until v0.20; others still do."""

    peer: Annotated[int, c.PEER]
    inbound: Annotated[bool, c.INBOUND]
    message: Annotated[str, c.text("Type of the message refused, at most 12 bytes, unprintable ones escaped.", untrusted=True)]
    code: Annotated[int | None, Column("Code (BIP 61).", pa.uint8(), Semantic.NUMBER, nullable=True, untrusted=True)]
    reason: Annotated[
        str | None,
        c.text("Why, in the sender's words, at most 111 bytes, unprintable ones escaped.", nullable=True, untrusted=True),
    ]
    hash: Annotated[bytes | None, c.hash32("Hash of the transaction or block refused, where it was sent.", nullable=True)]
    extra: Annotated[int, c.octets("Bytes of extra data behind the reason, the hash included.", pa.uint32())]
