"""`filterload`: the bloom filter that its sender wants transactions and blocks filtered by (BIP 37)."""

from __future__ import annotations

import numpy as np

from peerwatch.schema.tables.bloom_filter import BloomFilter
from peerwatch.wire.columns import labels, nullable
from peerwatch.wire.dissector import Dissected, Dissector, Payloads, WireError
from peerwatch.wire.layout import COMPACT_SIZE_BYTES, Cursor

MAX_BLOOM_FILTER_SIZE = 36_000
"""Bytes of the longest filter (BIP 37; Core, common/bloom.h)."""
MAX_HASH_FUNCS = 50
"""Hash functions that a filter may have (likewise)."""


class FilterLoadDissector(Dissector):
    """A filter (string), the number of its hash functions (u32), their tweak (u32) and how the filter grows (u8).

    More hash functions than are allowed are OVER_LIMIT, for which Core disconnects as for a longer filter, and all is still read.
    """

    types = ("filterload",)
    table = BloomFilter
    needs = COMPACT_SIZE_BYTES + MAX_BLOOM_FILTER_SIZE + 4 + 4 + 1
    source = "BIP 37; Core, net_processing.cpp: NetMsgType::FILTERLOAD; common/bloom.cpp: IsWithinSizeConstraints"

    def dissect(self, payloads: Payloads) -> Dissected:
        """One row for each message whose filter's length is there and allowed; `bytes` are those of the filter that were sent."""
        c = Cursor.over(payloads)
        length = c.length(MAX_BLOOM_FILTER_SIZE)
        message = np.flatnonzero(c.live)
        sent = c.body(length)
        functions = c.u32()
        c.note(functions > MAX_HASH_FUNCS, WireError.OVER_LIMIT)
        has_functions = c.live
        tweak = c.u32()
        has_tweak = c.live
        flags = c.u8()
        columns = {
            "message": labels(payloads.kinds(self.types)[message], self.types),
            "bytes": sent[message].astype(np.uint32),
            "functions": nullable(functions[message], has_functions[message]),
            "tweak": nullable(tweak[message], has_tweak[message]),
            "flags": nullable(flags[message], c.live[message]),
        }
        return Dissected(columns, message, c.finish())
