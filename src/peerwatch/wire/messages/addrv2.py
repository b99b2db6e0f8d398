"""`addrv2`: addresses gossiped in an encoding that has room for all networks (BIP 155)."""

from __future__ import annotations

import numpy as np

from peerwatch.schema.batch import Array
from peerwatch.schema.tables.address import Address
from peerwatch.wire.columns import fixed_bytes, labels, short_bytes
from peerwatch.wire.dissector import Dissected, Dissector, Payloads, WireError
from peerwatch.wire.layout import COMPACT_SIZE_BYTES, Cursor, Entries, matrix, numbered
from peerwatch.wire.messages.addr import MAX_ADDR_TO_SEND
from peerwatch.wire.networks import CJDNS, IPV4, IPV6, NETWORK_BYTES, NETWORKS, UNKNOWN, mapped

MAX_ADDRV2_SIZE = 512
"""Longest address, of any network (BIP 155; Core, netaddress.h)."""
KEY_BYTES = 32
"""Bytes of a Tor, I2P or unknown address that are kept."""
ENTRY_BYTES = 4 + COMPACT_SIZE_BYTES + 1 + 3 + MAX_ADDRV2_SIZE + 2
"""Longest entry."""

_LABEL = np.full(256, UNKNOWN, np.int16)
_LABEL[: len(NETWORKS)] = np.arange(len(NETWORKS))
_LENGTH = np.zeros(256, np.int64)
_LENGTH[: len(NETWORK_BYTES)] = NETWORK_BYTES
"""Length that an address must have, by network id; 0 where any will do."""

_TO_LENGTH = bytes([6] * 253 + [8, 10, 14])
"""From the start of an entry to its address length, by the first byte of the services: time, services, network id."""


class Addrv2Dissector(Dissector):
    """A counted list of entries: time (u32), services (compact size), network id (u8), address (string), port (big-endian).

    As BIP 155 wants, an address of a length that does not fit its network, or of more than 512 bytes, makes the message
    malformed, and one of an unknown network does not.
    """

    types = ("addrv2",)
    table = Address
    needs = COMPACT_SIZE_BYTES + MAX_ADDR_TO_SEND * ENTRY_BYTES
    source = "BIP 155; Core, netaddress.h: UnserializeV2Stream"

    def dissect(self, payloads: Payloads) -> Dissected:
        """One row for each entry that is wholly there and well formed, up to the first that is not."""
        c = Cursor.over(payloads)
        entries = _entries(c, c.count(MAX_ADDR_TO_SEND))
        e = c.nested(entries)
        time = e.u32()
        services = e.compact_size()
        network = e.u8()
        length = e.length(MAX_ADDRV2_SIZE)
        e.fail((_LENGTH[network] != 0) & (_LENGTH[network] != length), WireError.BAD_ADDRESS_LENGTH)
        at = e.pos
        e.skip(length)
        port = e.u16be()
        keep = c.adopt(e, entries)
        if not keep.all():
            entries = entries.where(keep)
            time, services, network, length, at, port = (a[keep] for a in (time, services, network, length, at, port))
        columns = {
            "idx": entries.idx,
            "time": time,
            "services": services,
            "network": labels(_LABEL[network], NETWORKS),
            **_address(matrix(payloads.buf, at, KEY_BYTES), network, length),
            "port": port,
        }
        return Dissected(columns, entries.message, c.finish())


def _entries(c: Cursor, counts: Array) -> Entries:
    """Where entries begin, found by hopping from length to length. Nothing is checked here but that each begins in its payload.

    The cursor that then reads them all at once stops where this hopped wrong: a hop goes wrong only in a malformed entry.
    """
    view = c.buf.data
    counts = np.where(c.live, counts, 0)
    starts: list[int] = []
    found: list[int] = []
    add = starts.append
    for at, count, limit in zip(c.pos.tolist(), counts.tolist(), c.limit.tolist(), strict=True):
        before = len(starts)
        for _ in range(count):
            add(at)
            at += _TO_LENGTH[view[at + 4]]  # noqa: PLW2901 - hops on
            length = view[at]
            if length >= 253:  # noqa: PLR2004 - a compact size of three bytes; longer ones are over the limit
                length = 2 + int.from_bytes(view[at + 1 : at + 3], "little")
            at += length + 3  # noqa: PLW2901 - as above
            if at > limit:
                break
        found.append(len(starts) - before)
    return Entries(*numbered(np.array(found, np.int64)), np.array(starts, np.int64))


def _address(windows: Array, network: Array, length: Array) -> dict[str, object]:
    """The columns ip and key, of address bytes (uint8, shape (rows, KEY_BYTES), more than `length` are not the address)."""
    ip = np.ascontiguousarray(windows[:, :16])
    ipv4 = np.flatnonzero(network == IPV4)
    ip[ipv4] = mapped(windows[ipv4, :4])
    is_ip = np.isin(network, (IPV4, IPV6, CJDNS))
    return {
        "ip": fixed_bytes(ip, is_ip),
        "key": short_bytes(windows, np.minimum(length, KEY_BYTES), ~is_ip),
    }
