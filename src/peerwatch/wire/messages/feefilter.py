"""`feefilter`: the fee rate below which its sender wants no transactions (BIP 133)."""

from __future__ import annotations

import numpy as np

from peerwatch.schema.tables.negotiation import Negotiation
from peerwatch.wire.columns import labels
from peerwatch.wire.dissector import Dissected, Dissector, Payloads
from peerwatch.wire.layout import Cursor


class FeeFilterDissector(Dissector):
    """A fee rate (i64, satoshis per 1000 virtual bytes)."""

    types = ("feefilter",)
    table = Negotiation
    needs = 8
    source = "BIP 133"

    def dissect(self, payloads: Payloads) -> Dissected:
        """One row for each message whose fee rate is there."""
        c = Cursor.over(payloads)
        fee_rate = c.i64()
        message = np.flatnonzero(c.live)
        columns = {"message": labels(payloads.kinds(self.types)[message], self.types), "fee_rate": fee_rate[message]}
        return Dissected(columns, message, c.finish())
