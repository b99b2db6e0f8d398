"""`getcfcheckpt`: a request for compact filter headers at even distances (BIP 157)."""

from __future__ import annotations

import numpy as np

from peerwatch.schema.tables.block_filter import BlockFilter
from peerwatch.wire.columns import fixed_bytes, labels
from peerwatch.wire.dissector import Dissected, Dissector, Payloads
from peerwatch.wire.layout import HASH_BYTES, Cursor


class GetCFCheckptDissector(Dissector):
    """Filter type (u8), hash of the last block."""

    types = ("getcfcheckpt",)
    table = BlockFilter
    needs = 1 + HASH_BYTES
    source = "BIP 157"

    def dissect(self, payloads: Payloads) -> Dissected:
        """One row for each message whose filter type is there."""
        c = Cursor.over(payloads)
        filter_type = c.u8()
        message = np.flatnonzero(c.live)
        stop = c.octets(HASH_BYTES)
        columns = {
            "message": labels(payloads.kinds(self.types)[message], self.types),
            "filter_type": filter_type[message],
            "hash": fixed_bytes(stop[message], c.live[message]),
        }
        return Dissected(columns, message, c.finish())
