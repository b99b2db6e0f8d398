"""Bloom filters."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Table


class BloomFilter(Table):
    """One `filterload` or `filteradd` (BIP 37). The filter itself is not kept."""

    peer: Annotated[int, c.PEER]
    inbound: Annotated[bool, c.INBOUND]
    message: Annotated[str, c.label("filterload or filteradd.")]
    bytes: Annotated[int, c.octets("Length of the filter, or of the element added.", pa.uint32())]
    functions: Annotated[int | None, c.count("`filterload`: hash functions.", pa.uint32(), nullable=True)]
    tweak: Annotated[
        int | None,
        Column("`filterload`: tweak of the hash functions.", pa.uint32(), Semantic.NUMBER, nullable=True, untrusted=True),
    ]
    flags: Annotated[
        int | None,
        Column("`filterload`: how the filter grows (nFlags).", pa.uint8(), Semantic.NUMBER, nullable=True, untrusted=True),
    ]
