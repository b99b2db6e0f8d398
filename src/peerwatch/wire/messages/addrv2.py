"""`addrv2`: addresses gossiped in an encoding that has room for all networks (BIP 155)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from peerwatch.schema.batch import Array
from peerwatch.schema.tables.address import Address
from peerwatch.wire.columns import fixed_bytes, labels, short_bytes
from peerwatch.wire.dissector import Dissected, Dissector, Payloads, WireError
from peerwatch.wire.layout import COMPACT_SIZE_BYTES, Cursor, Entries, fields, matrix, numbered
from peerwatch.wire.messages.addr import MAX_ADDR_TO_SEND
from peerwatch.wire.networks import CJDNS, IPV4, IPV6, NETWORK_BYTES, NETWORKS, UNKNOWN, mapped

MAX_ADDRV2_SIZE = 512
"""Longest address, of any network (BIP 155; Core, netaddress.h)."""
KEY_BYTES = 32
"""Bytes of a Tor, I2P or unknown address that are kept."""
ENTRY_BYTES = 4 + COMPACT_SIZE_BYTES + 1 + 3 + MAX_ADDRV2_SIZE + 2
"""Longest entry."""

FEW = 16
"""Up to so many entries, payloads are walked together, one entry of each at a time; a longer one by itself."""

_LABEL = np.full(256, UNKNOWN, np.int16)
_LABEL[: len(NETWORKS)] = np.arange(len(NETWORKS))
_LENGTH = np.zeros(256, np.int64)
_LENGTH[: len(NETWORK_BYTES)] = NETWORK_BYTES
"""Length that an address must have, by network id; 0 where any will do."""
_IS_IP = np.isin(np.arange(256), (IPV4, IPV6, CJDNS))
"""Whether an address of a network is kept as ip, by network id."""

_WIDE = 253
"""A length of this first byte or above has more bytes: 253 has two, and with any other it is over the limit."""
_TO_LENGTH = np.array([6] * _WIDE + [8, 10, 14])
"""From the start of an entry to its address length, by the first byte of the services: time, services, network id."""
_LEAST_STEP = 9
"""Length of an entry with services of one byte and an address of none."""


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
        fitting = _LENGTH.take(network)
        e.fail((fitting != 0) & (fitting != length), WireError.BAD_ADDRESS_LENGTH)
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
            "network": labels(_LABEL.take(network), NETWORKS),
            **_address(matrix(payloads.buf, at, KEY_BYTES), network, length),
            "port": port,
        }
        return Dissected(columns, entries.message, c.finish())


def _entries(c: Cursor, counts: Array) -> Entries:
    """Where entries begin, found by hopping from length to length. Nothing is checked here but that each begins in its payload.

    The cursor that then reads them all at once stops where this hopped wrong: a hop goes wrong only in a malformed entry.
    """
    counts = np.where(c.live, counts, 0)
    found = np.zeros(len(counts), np.int64)
    walked: list[tuple[Array | int, Array | int, Array]] = []
    for which, nth, at in _together(c, counts):
        found[which] = nth + 1
        walked.append((which, nth, at))
    for one in np.flatnonzero(counts > FEW).tolist():
        at = _alone(c.buf, int(c.pos[one]), int(c.limit[one]), int(counts[one]))
        found[one] = len(at)
        walked.append((one, np.arange(len(at)), at))
    message, idx = numbered(found)
    begin = np.empty(len(message), np.int64)
    first = np.cumsum(found) - found
    for payload, position, at in walked:
        begin[first[payload] + position] = at
    return Entries(message, idx, begin)


def _together(c: Cursor, counts: Array) -> Iterator[tuple[Array, int, Array]]:
    """The entries of all payloads with few, first all first ones, then all second ones: payloads, which entry, offsets."""
    which = np.flatnonzero((counts > 0) & (counts <= FEW))
    left, at, limit = counts[which], c.pos[which], c.limit[which]
    for nth in range(FEW):
        if not len(which):
            break
        yield which, nth, at
        length_at = at + _TO_LENGTH.take(c.buf[at + 4])
        length = c.buf[length_at].astype(np.int64)
        wide = np.flatnonzero(length >= _WIDE)
        if len(wide):
            length[wide] = 2 + fields(c.buf, length_at[wide] + 1, "<u2").astype(np.int64)
        at = length_at + length + 3
        on = np.flatnonzero((left > nth + 1) & (at <= limit))
        which, left, at, limit = which[on], left[on], at[on], limit[on]


def _alone(buf: Array, begin: int, limit: int, count: int) -> Array:
    """The offsets of at most `count` entries of one payload."""
    # How far it is from each byte to the next entry if one begins there; too little where that is not to be had so simply.
    window = buf[begin : limit + 9]
    services = window[4:-4]
    steps = np.where(services == _WIDE, window[8:] + np.uint8(11), window[6:-2] + np.uint8(9))
    steps[services > _WIDE] = 0
    hops = steps.tobytes()
    starts: list[int] = []
    add = starts.append
    at = 0
    try:
        for _ in range(count):
            add(at)
            step = hops[at]
            at += step if step >= _LEAST_STEP else _step(buf.data, begin + at)
    except IndexError:
        starts.pop()  # it would begin beyond the payload
    return begin + np.array(starts, np.int64)


def _step(view: memoryview, at: int) -> int:
    """From one entry to the next."""
    to_length = (6, 8, 10, 14)[max(view[at + 4] - _WIDE + 1, 0)]
    length = view[at + to_length]
    if length >= _WIDE:
        length = 2 + int.from_bytes(view[at + to_length + 1 : at + to_length + 3], "little")
    return to_length + length + 3


def _address(windows: Array, network: Array, length: Array) -> dict[str, object]:
    """The columns ip and key, of address bytes (uint8, shape (rows, KEY_BYTES), more than `length` are not the address)."""
    ip = np.ascontiguousarray(windows[:, :16])
    ipv4 = np.flatnonzero(network == IPV4)
    ip[ipv4] = mapped(windows[ipv4, :4])
    is_ip = _IS_IP.take(network)
    return {
        "ip": fixed_bytes(ip, is_ip),
        "key": short_bytes(windows, np.minimum(length, KEY_BYTES), ~is_ip),
    }
