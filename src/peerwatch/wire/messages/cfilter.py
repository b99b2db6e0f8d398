"""`cfilter`: the compact filter of a block (BIP 157)."""

from __future__ import annotations

import numpy as np

from peerwatch.schema.tables.block_filter import BlockFilter
from peerwatch.wire.columns import fixed_bytes, labels, nullable
from peerwatch.wire.dissector import MAX_PROTOCOL_MESSAGE_LENGTH, Dissected, Dissector, Payloads
from peerwatch.wire.layout import COMPACT_SIZE_BYTES, HASH_BYTES, Cursor


class CFilterDissector(Dissector):
    """Filter type (u8), hash of the block, filter (string). Only the filter's length is of interest.

    BIP 157 sets no limit to it but what fits into a message.
    """

    types = ("cfilter",)
    table = BlockFilter
    needs = 1 + HASH_BYTES + COMPACT_SIZE_BYTES
    source = "BIP 157"

    def dissect(self, payloads: Payloads) -> Dissected:
        """One row for each message whose filter type is there; `bytes` are those of the filter that were sent."""
        c = Cursor.over(payloads)
        filter_type = c.u8()
        message = np.flatnonzero(c.live)
        block = c.octets(HASH_BYTES)
        has_block = c.live
        length = c.length(MAX_PROTOCOL_MESSAGE_LENGTH)
        has_length = c.live
        columns = {
            "message": labels(payloads.kinds(self.types)[message], self.types),
            "filter_type": filter_type[message],
            "hash": fixed_bytes(block[message], has_block[message]),
            "bytes": nullable(c.body(length)[message], has_length[message]),
        }
        return Dissected(columns, message, c.finish())
