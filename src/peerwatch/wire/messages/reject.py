"""`reject`: what its sender did not like, and why (BIP 61)."""

from __future__ import annotations

import numpy as np

from peerwatch.schema.batch import Array
from peerwatch.schema.tables.rejection import Rejection
from peerwatch.wire.columns import fixed_bytes, nullable, texts
from peerwatch.wire.dissector import Dissected, Dissector, Payloads, WireError
from peerwatch.wire.layout import COMPACT_SIZE_BYTES, HASH_BYTES, Cursor, matrix

COMMAND_SIZE = 12
"""Longest message type (Core, protocol.h: CMessageHeader)."""
MAX_REJECT_MESSAGE_LENGTH = 111
"""Longest reason (Core until v0.19, validation.h)."""


class RejectDissector(Dissector):
    """The type of the message refused (string), a code (u8), a reason (string), and the hash of a `tx` or `block` refused.

    Those two may go without, as Core sent it for what it could not decode. No other type has extra data.
    """

    types = ("reject",)
    table = Rejection
    needs = 2 * COMPACT_SIZE_BYTES + COMMAND_SIZE + 1 + MAX_REJECT_MESSAGE_LENGTH + HASH_BYTES
    source = "BIP 61; Core v0.19, net_processing.cpp: NetMsgType::REJECT"

    def dissect(self, payloads: Payloads) -> Dissected:
        """One row for each message whose type refused is there."""
        c = Cursor.over(payloads)
        type_length = c.length(COMMAND_SIZE)
        type_at = c.pos
        c.skip(type_length)
        message = np.flatnonzero(c.live)
        code = c.u8()
        has_code = c.live
        reason_length = c.length(MAX_REJECT_MESSAGE_LENGTH)
        reason_at = c.pos
        c.skip(reason_length)
        has_reason = c.live
        extra = np.where(has_reason, c.end - c.pos, 0)
        hashed = _is(b"tx", payloads.buf, type_at, type_length) | _is(b"block", payloads.buf, type_at, type_length)
        c.fail(~hashed & (extra > 0), WireError.TRAILING)
        c.optional()
        refused = c.octets(HASH_BYTES)
        columns = {
            "message": texts(payloads.buf, type_at[message], type_length[message], np.ones(len(message), bool)),
            "code": nullable(code[message], has_code[message]),
            "reason": texts(payloads.buf, reason_at[message], reason_length[message], has_reason[message]),
            "hash": fixed_bytes(refused[message], c.live[message]),
            "extra": extra[message].astype(np.uint32),
        }
        return Dissected(columns, message, c.finish())


def _is(name: bytes, buf: Array, at: Array, length: Array) -> Array:
    """Which of the strings, of their `length` at the byte offsets `at`, are `name`."""
    same = matrix(buf, at, len(name)) == np.frombuffer(name, np.uint8)
    return np.asarray((length == len(name)) & same.all(axis=1))
