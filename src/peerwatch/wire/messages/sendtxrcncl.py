"""`sendtxrcncl`: its sender reconciles transactions instead of announcing each (BIP 330)."""

from __future__ import annotations

import numpy as np

from peerwatch.schema.tables.negotiation import Negotiation
from peerwatch.wire.columns import labels, nullable
from peerwatch.wire.dissector import Dissected, Dissector, Payloads
from peerwatch.wire.layout import Cursor


class SendTxRcnclDissector(Dissector):
    """A version (u32) and a salt (u64)."""

    types = ("sendtxrcncl",)
    table = Negotiation
    needs = 4 + 8
    source = "BIP 330; Core, net_processing.cpp: NetMsgType::SENDTXRCNCL"

    def dissect(self, payloads: Payloads) -> Dissected:
        """One row for each message whose version is there."""
        c = Cursor.over(payloads)
        version = c.u32()
        message = np.flatnonzero(c.live)
        salt = c.u64()
        columns = {
            "message": labels(payloads.kinds(self.types)[message], self.types),
            "version": version[message].astype(np.uint64),
            "salt": nullable(salt[message], c.live[message]),
        }
        return Dissected(columns, message, c.finish())
