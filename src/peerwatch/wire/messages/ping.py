"""`ping` and `pong`: a nonce that comes back (BIP 31)."""

from __future__ import annotations

import numpy as np

from peerwatch.schema.tables.ping import Ping
from peerwatch.wire.columns import nullable
from peerwatch.wire.dissector import Dissected, Dissector, Payloads
from peerwatch.wire.layout import Cursor

NONCE_BYTES = 8


class PingDissector(Dissector):
    """A nonce of 8 bytes; a `ping` from before BIP 31 is empty and gets a row without one."""

    types = ("ping", "pong")
    table = Ping
    needs = NONCE_BYTES
    source = "BIP 31"

    def dissect(self, payloads: Payloads) -> Dissected:
        """One row for each message whose nonce was kept, and for each empty `ping`."""
        pong = payloads.kinds(self.types) == self.types.index("pong")
        c = Cursor.over(payloads)
        c.optional(~pong)
        empty = ~c.live
        nonce = c.u64()
        message = np.flatnonzero(c.live | empty)
        columns = {"pong": pong[message], "nonce": nullable(nonce[message], c.live[message])}
        return Dissected(columns, message, c.finish())
