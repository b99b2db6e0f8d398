"""`filteradd`: one more element for the bloom filter that was loaded (BIP 37)."""

from __future__ import annotations

import numpy as np

from peerwatch.schema.tables.bloom_filter import BloomFilter
from peerwatch.wire.columns import labels
from peerwatch.wire.dissector import Dissected, Dissector, Payloads
from peerwatch.wire.layout import COMPACT_SIZE_BYTES, Cursor

MAX_SCRIPT_ELEMENT_SIZE = 520
"""Bytes of the longest element (BIP 37; Core, script/script.h)."""


class FilterAddDissector(Dissector):
    """An element (string), of which only the length is of interest."""

    types = ("filteradd",)
    table = BloomFilter
    needs = COMPACT_SIZE_BYTES
    source = "BIP 37; Core, net_processing.cpp: NetMsgType::FILTERADD"

    def dissect(self, payloads: Payloads) -> Dissected:
        """One row for each message whose element's length is there and allowed; `bytes` are those of it that were sent."""
        c = Cursor.over(payloads)
        length = c.length(MAX_SCRIPT_ELEMENT_SIZE)
        message = np.flatnonzero(c.live)
        columns = {
            "message": labels(payloads.kinds(self.types)[message], self.types),
            "bytes": c.body(length)[message].astype(np.uint32),
        }
        return Dissected(columns, message, c.finish())
