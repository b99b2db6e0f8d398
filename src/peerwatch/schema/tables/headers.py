"""Headers sent."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Table


class Headers(Table):
    """One `headers` message: a chain of block headers, of which the ends are kept."""

    peer: Annotated[int, c.PEER]
    inbound: Annotated[bool, c.INBOUND]
    headers: Annotated[int, c.count("Headers that are wholly there.", pa.int32())]
    breaks: Annotated[
        int, c.count("Headers that do not follow on the one before them (Core: non-continuous headers sequence).", pa.int32())
    ]
    previous: Annotated[bytes | None, c.hash32("Block that the first header follows on; null when there is none.", nullable=True)]
    first: Annotated[bytes | None, c.hash32("Hash of the first header.", nullable=True)]
    last: Annotated[bytes | None, c.hash32("Hash of the last header.", nullable=True)]
    first_time: Annotated[
        int | None,
        Column("Time in the first header.", pa.uint32(), Semantic.TIME, unit="s", nullable=True, untrusted=True),
    ]
    last_time: Annotated[
        int | None, Column("Time in the last header.", pa.uint32(), Semantic.TIME, unit="s", nullable=True, untrusted=True)
    ]
    last_bits: Annotated[
        int | None,
        Column(
            "Target in the last header, in compact form (nBits).", pa.uint32(), Semantic.NUMBER, nullable=True, untrusted=True
        ),
    ]
