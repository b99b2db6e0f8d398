"""`alert`: a signed announcement to all nodes, of the alert system that Core gave up with v0.13."""

from __future__ import annotations

import numpy as np

from peerwatch.schema.tables.network_alert import NetworkAlert
from peerwatch.wire.columns import nullable
from peerwatch.wire.dissector import MAX_PROTOCOL_MESSAGE_LENGTH, Dissected, Dissector, Payloads, WireError
from peerwatch.wire.layout import COMPACT_SIZE_BYTES, Cursor

TEXTS_BYTES = 65_536 + 256 + 256
"""Longest comment, status bar and reserved text in an alert (Core v0.12, alert.h)."""
OTHERS_BYTES = 1024
"""Ample for the numbers and sets in an alert."""


class AlertDissector(Dissector):
    """What was signed (string) and the signature (string), each of any length that fits into a message.

    What was signed begins with version (i32), when to stop relaying it (i64), when it expires (i64), its number (i32) and up to
    which number it cancels others (i32). The rest of it is not dissected: sets of versions and texts.
    """

    types = ("alert",)
    table = NetworkAlert
    needs = COMPACT_SIZE_BYTES + TEXTS_BYTES + OTHERS_BYTES + COMPACT_SIZE_BYTES
    source = "Core v0.12, alert.h: CAlert, CUnsignedAlert"

    def dissect(self, payloads: Payloads) -> Dissected:
        """One row for each message whose payload's length is there; lengths are what was sent, be it kept or not."""
        c = Cursor.over(payloads)
        length = c.length(MAX_PROTOCOL_MESSAGE_LENGTH)
        message = np.flatnonzero(c.live)
        at = c.pos
        signed = c.body(length)
        columns = {"payload": signed[message].astype(np.uint32)}
        inner = Cursor(payloads.buf, at, np.minimum(at + signed, c.limit), at + signed)
        for name, read in (
            ("version", inner.i32),
            ("relay_until", inner.i64),
            ("expiration", inner.i64),
            ("id", inner.i32),
            ("cancel", inner.i32),
        ):
            columns[name] = nullable(read()[message], inner.live[message])
        c.note(inner.error != WireError.NONE, WireError.TRUNCATED)
        length = c.length(MAX_PROTOCOL_MESSAGE_LENGTH)
        has_signature = c.live
        columns["signature"] = nullable(c.body(length)[message].astype(np.uint32), has_signature[message])
        return Dissected(columns, message, c.finish())
