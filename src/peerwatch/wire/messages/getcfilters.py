"""`getcfilters` and `getcfheaders`: requests for the compact filters of a range of blocks, or their headers (BIP 157)."""

from __future__ import annotations

import numpy as np

from peerwatch.schema.tables.block_filter import BlockFilter
from peerwatch.wire.columns import fixed_bytes, labels, nullable
from peerwatch.wire.dissector import Dissected, Dissector, Payloads
from peerwatch.wire.layout import HASH_BYTES, Cursor


class GetCFiltersDissector(Dissector):
    """Filter type (u8), height of the first block (u32), hash of the last block.

    How many blocks lie between those two, which BIP 157 limits, cannot be told without the chain.
    """

    types = ("getcfilters", "getcfheaders")
    table = BlockFilter
    needs = 1 + 4 + HASH_BYTES
    source = "BIP 157"

    def dissect(self, payloads: Payloads) -> Dissected:
        """One row for each message whose filter type is there."""
        c = Cursor.over(payloads)
        filter_type = c.u8()
        message = np.flatnonzero(c.live)
        start_height = c.u32()
        has_height = c.live
        stop = c.octets(HASH_BYTES)
        columns = {
            "message": labels(payloads.kinds(self.types)[message], self.types),
            "filter_type": filter_type[message],
            "start_height": nullable(start_height[message], has_height[message]),
            "hash": fixed_bytes(stop[message], c.live[message]),
        }
        return Dissected(columns, message, c.finish())
