"""Messages that consist of their type: `verack`, `getaddr`, `mempool` and others."""

from __future__ import annotations

import numpy as np

from peerwatch.wire.dissector import Dissected, Dissector, Payloads
from peerwatch.wire.layout import Cursor


class EmptyDissector(Dissector):
    """No payload at all. That such a message came stands in `message`; any byte in it is TRAILING."""

    types = (
        "verack", "sendaddrv2", "getaddr", "sendheaders", "mempool", "filterclear", "wtxidrelay", "reqsketchext",
    )  # fmt: skip
    table = None
    needs = 0
    source = "Core, protocol.h: NetMsgType; BIP 35 (mempool), 37, 130, 155, 330 (reqsketchext), 339"

    def dissect(self, payloads: Payloads) -> Dissected:
        """No rows, but errors."""
        return Dissected({}, np.zeros(0, np.int64), Cursor.over(payloads).finish())
