"""`cfcheckpt`: compact filter headers of every thousandth block (BIP 157)."""

from __future__ import annotations

import numpy as np

from peerwatch.schema.tables.block_filter import BlockFilter
from peerwatch.wire.columns import fixed_bytes, labels, nullable
from peerwatch.wire.dissector import MAX_PROTOCOL_MESSAGE_LENGTH, Dissected, Dissector, Payloads
from peerwatch.wire.layout import COMPACT_SIZE_BYTES, HASH_BYTES, Cursor

MAX_CHECKPOINTS = MAX_PROTOCOL_MESSAGE_LENGTH // HASH_BYTES
"""Filter headers that fit into a message; BIP 157 and Core know no other limit than the height of the chain."""


class CFCheckptDissector(Dissector):
    """Filter type (u8), hash of the last block, counted list of filter headers, of which only the count is of interest."""

    types = ("cfcheckpt",)
    table = BlockFilter
    needs = 1 + HASH_BYTES + COMPACT_SIZE_BYTES
    source = "BIP 157"

    def dissect(self, payloads: Payloads) -> Dissected:
        """One row for each message whose filter type is there; `hashes` are those sent, up to the limit, be they kept or not."""
        c = Cursor.over(payloads)
        filter_type = c.u8()
        message = np.flatnonzero(c.live)
        stop = c.octets(HASH_BYTES)
        has_stop = c.live
        count = c.count(MAX_CHECKPOINTS)
        has_count = c.live
        columns = {
            "message": labels(payloads.kinds(self.types)[message], self.types),
            "filter_type": filter_type[message],
            "hash": fixed_bytes(stop[message], has_stop[message]),
            "hashes": nullable(c.body(count, HASH_BYTES)[message].astype(np.int32), has_count[message]),
        }
        return Dissected(columns, message, c.finish())
