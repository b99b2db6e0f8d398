"""`cfheaders`: what the headers of a range of compact filters are made of (BIP 157)."""

from __future__ import annotations

import numpy as np

from peerwatch.schema.tables.block_filter import BlockFilter
from peerwatch.wire.columns import fixed_bytes, labels, nullable
from peerwatch.wire.dissector import Dissected, Dissector, Payloads
from peerwatch.wire.layout import COMPACT_SIZE_BYTES, HASH_BYTES, Cursor

MAX_GETCFHEADERS_SIZE = 2000
"""Filters that one message may be about (BIP 157; Core, net_processing.cpp)."""


class CFHeadersDissector(Dissector):
    """Filter type (u8), hash of the last block, filter header before the first, counted list of filter hashes.

    Of the list only the count is of interest.
    """

    types = ("cfheaders",)
    table = BlockFilter
    needs = 1 + 2 * HASH_BYTES + COMPACT_SIZE_BYTES
    source = "BIP 157"

    def dissect(self, payloads: Payloads) -> Dissected:
        """One row for each message whose filter type is there; `hashes` are those sent, up to the limit, be they kept or not."""
        c = Cursor.over(payloads)
        filter_type = c.u8()
        message = np.flatnonzero(c.live)
        stop = c.octets(HASH_BYTES)
        has_stop = c.live
        previous = c.octets(HASH_BYTES)
        has_previous = c.live
        count = c.count(MAX_GETCFHEADERS_SIZE)
        has_count = c.live
        columns = {
            "message": labels(payloads.kinds(self.types)[message], self.types),
            "filter_type": filter_type[message],
            "hash": fixed_bytes(stop[message], has_stop[message]),
            "previous": fixed_bytes(previous[message], has_previous[message]),
            "hashes": nullable(c.body(count, HASH_BYTES)[message].astype(np.int32), has_count[message]),
        }
        return Dissected(columns, message, c.finish())
