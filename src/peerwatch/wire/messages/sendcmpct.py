"""`sendcmpct`: whether its sender wants compact blocks unasked, and of which version (BIP 152)."""

from __future__ import annotations

import numpy as np

from peerwatch.schema.tables.negotiation import Negotiation
from peerwatch.wire.columns import labels, nullable
from peerwatch.wire.dissector import Dissected, Dissector, Payloads
from peerwatch.wire.layout import Cursor


class SendCmpctDissector(Dissector):
    """A flag (u8, anything but zero is true, as Core reads it) and a version (u64)."""

    types = ("sendcmpct",)
    table = Negotiation
    needs = 1 + 8
    source = "BIP 152"

    def dissect(self, payloads: Payloads) -> Dissected:
        """One row for each message whose flag is there."""
        c = Cursor.over(payloads)
        high_bandwidth = c.u8() != 0
        message = np.flatnonzero(c.live)
        version = c.u64()
        columns = {
            "message": labels(payloads.kinds(self.types)[message], self.types),
            "high_bandwidth": high_bandwidth[message],
            "version": nullable(version[message], c.live[message]),
        }
        return Dissected(columns, message, c.finish())
