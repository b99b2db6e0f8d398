"""`version`: the first message of each side."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from peerwatch.schema.tables.version import Version
from peerwatch.wire.columns import fixed_bytes, nullable, texts
from peerwatch.wire.dissector import Dissected, Dissector, Payloads
from peerwatch.wire.layout import COMPACT_SIZE_BYTES, Cursor

MAX_SUBVERSION_LENGTH = 256
"""Longest user agent (Core, net.h)."""

ADDRESS_BYTES = 8 + 16 + 2
FIXED_BYTES = 4 + 8 + 8 + 2 * ADDRESS_BYTES + 8


class VersionDissector(Dissector):
    """Protocol, services, time, receiver, sender, nonce, user agent, best height, relay.

    As in Core's handling of `version`, a message may end before the sender, the user agent, the height or the relay flag
    (older versions did). One that ends before the receiver is truncated. The addresses are those of `addr`, without time.
    """

    types = ("version",)
    table = Version
    needs = FIXED_BYTES + COMPACT_SIZE_BYTES + MAX_SUBVERSION_LENGTH + 4 + 1
    source = "Core, net_processing.cpp: NetMsgType::VERSION; BIP 14; BIP 37"

    def dissect(self, payloads: Payloads) -> Dissected:
        """One row for each message that has at least protocol, services and time."""
        c = Cursor.over(payloads)
        columns = {"protocol": pa.array(c.i32()), "services": pa.array(c.u64()), "time": pa.array(c.i64())}
        begun = c.live
        receiver = (c.u64(), c.octets(16), c.u16be())
        has_receiver = c.live
        c.optional()
        c.skip(8)
        sender = (c.octets(16), c.u16be())
        has_sender = c.live
        nonce = c.u64()
        has_nonce = c.live
        c.optional()
        length = c.length(MAX_SUBVERSION_LENGTH)
        agent_at = c.pos
        c.skip(length)
        has_agent = c.live
        c.optional()
        height = c.i32()
        has_height = c.live
        c.optional()
        relay = c.u8()
        columns |= {
            "receiver_services": nullable(receiver[0], has_receiver),
            "receiver_ip": fixed_bytes(receiver[1], has_receiver),
            "receiver_port": nullable(receiver[2], has_receiver),
            "sender_ip": fixed_bytes(sender[0], has_sender),
            "sender_port": nullable(sender[1], has_sender),
            "nonce": nullable(nonce, has_nonce),
            "user_agent": texts(payloads.buf, agent_at, length, has_agent),
            "start_height": nullable(height, has_height),
            "relay": nullable(relay != 0, c.live),
        }
        message = np.flatnonzero(begun)
        if len(message) < len(payloads):
            columns = {name: column.filter(pa.array(begun)) for name, column in columns.items()}
        return Dissected(columns, message, c.finish())
