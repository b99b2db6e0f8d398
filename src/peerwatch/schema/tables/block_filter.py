"""Compact block filters."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Table


class BlockFilter(Table):
    """One message of BIP 157: a request for compact block filters, their headers or checkpoints, or the answer to one."""

    peer: Annotated[int, c.PEER]
    inbound: Annotated[bool, c.INBOUND]
    message: Annotated[str, c.label("getcfilters, cfilter, getcfheaders, cfheaders, getcfcheckpt or cfcheckpt.")]
    filter_type: Annotated[int, Column("Filter type; 0 is basic (BIP 158).", pa.uint8(), Semantic.NUMBER, untrusted=True)]
    start_height: Annotated[
        int | None,
        Column("`getcfilters`, `getcfheaders`: first height.", pa.uint32(), Semantic.NUMBER, nullable=True, untrusted=True),
    ]
    hash: Annotated[bytes | None, c.hash32("Last block of the range, or the block of the filter.", nullable=True)]
    previous: Annotated[bytes | None, c.hash32("`cfheaders`: filter header before the first.", nullable=True)]
    hashes: Annotated[
        int | None,
        c.count("`cfheaders`, `cfcheckpt`: filter hashes or headers that are wholly there.", pa.int32(), nullable=True),
    ]
    bytes: Annotated[int | None, c.octets("`cfilter`: length of the filter, as sent.", pa.int64(), nullable=True)]
