"""`addr`: addresses gossiped in 16 bytes each, the encoding from before BIP 155."""

from __future__ import annotations

import numpy as np

from peerwatch.schema.tables.address import Address
from peerwatch.wire.columns import fixed_bytes, labels, short_bytes
from peerwatch.wire.dissector import Dissected, Dissector, Payloads
from peerwatch.wire.layout import COMPACT_SIZE_BYTES, Cursor, fields
from peerwatch.wire.networks import IPV4, IPV6, NETWORKS, TORV2, TORV2_BYTES, TORV2_IN_IPV6, is_mapped, starts_with

MAX_ADDR_TO_SEND = 1000
"""Entries that one `addr` or `addrv2` message may hold (Core, net_processing.cpp; BIP 155 says the same)."""

ENTRY = np.dtype([("time", "<u4"), ("services", "<u8"), ("ip", "V16"), ("port", ">u2")])


class AddrDissector(Dissector):
    """A counted list of entries: time (u32), services (u64), address (16 bytes), port (big-endian).

    Networks as in Core's CNetAddr::SetLegacyIPv6: IPv4 in ::ffff:0:0/96, Tor v2 in fd87:d87e:eb43::/48 (which Core ignores since
    v22), everything else IPv6. CJDNS has no encoding here: an fc00::/8 address is an IPv6 address like any other.
    """

    types = ("addr",)
    table = Address
    needs = COMPACT_SIZE_BYTES + MAX_ADDR_TO_SEND * ENTRY.itemsize
    source = "Core, protocol.h: CAddress (Format::Network, V1); netaddress.cpp: SetLegacyIPv6"

    def dissect(self, payloads: Payloads) -> Dissected:
        """One row for each entry that is wholly there."""
        c = Cursor.over(payloads)
        entries = c.entries(c.count(MAX_ADDR_TO_SEND), ENTRY.itemsize)
        entry = fields(payloads.buf, entries.at, ENTRY)
        ip = np.ascontiguousarray(entry["ip"]).view(np.uint8).reshape(-1, 16)
        tor = starts_with(ip, TORV2_IN_IPV6)
        columns = {
            "idx": entries.idx,
            "time": entry["time"].copy(),
            "services": entry["services"].copy(),
            "network": labels(np.where(tor, TORV2, np.where(is_mapped(ip), IPV4, IPV6)), NETWORKS),
            "ip": fixed_bytes(ip, ~tor),
            "key": short_bytes(ip[:, len(TORV2_IN_IPV6) :], np.full(len(ip), TORV2_BYTES), tor),
            "port": entry["port"].astype(np.uint16),
        }
        return Dissected(columns, entries.message, c.finish())
