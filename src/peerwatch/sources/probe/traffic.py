"""How much the node sends to our peer, by message type."""

from __future__ import annotations

from dataclasses import dataclass

from peerwatch.schema.tables.probe_traffic import ProbeTraffic
from peerwatch.sources.gathered import Rows
from peerwatch.wire.raw import TypeNames

LEAST_ENTRY = {
    "addr": 30,  # time, services, address and port
    "addrv2": 9,  # time, and at least a byte each of services, network and length, and the port (BIP 155)
    "inv": 36,  # type and hash
    "headers": 81,  # a block header and the number of transactions, which is 0
}
"""Types whose entries are counted, and the bytes that one takes at least."""

COMPACT_SIZE = {253: 2, 254: 4, 255: 8}
"""Bytes of a count after its first byte, where that is one of these."""

FEE_BYTES = 8


@dataclass(slots=True)
class _Sum:
    messages: int = 0
    size: int = 0
    entries: int = 0
    fee_filter: int | None = None


class Traffic:
    """What came since the rows were last taken."""

    def __init__(self, names: TypeNames) -> None:
        """Count from 0. `names` bounds how many types are told apart; it may be shared with later connections."""
        self._names = names
        self._sums: dict[int, _Sum] = {}

    def count(self, kind: str, payload: bytes) -> None:
        """Count one message."""
        each = self._sums.setdefault(self._names.code(kind.encode("latin-1", "replace")), _Sum())
        each.messages += 1
        each.size += len(payload)
        if least := LEAST_ENTRY.get(kind):
            each.entries += entries(payload, least)
        elif kind == "feefilter" and len(payload) == FEE_BYTES:
            each.fee_filter = int.from_bytes(payload, "little", signed=True)

    def take(self, address: str, ts: int) -> Rows:
        """Rows of all that was counted, at `ts` (ns UTC), and begin anew."""
        sums, self._sums = self._sums, {}
        of = list(sums.values())
        return ProbeTraffic, {
            "ts": [ts] * len(of),
            "address": [address] * len(of),
            "type": [self._names.names[code] for code in sums],
            "messages": [each.messages for each in of],
            "bytes": [each.size for each in of],
            "entries": [each.entries for each in of],
            "fee_filter": [each.fee_filter for each in of],
        }


def entries(payload: bytes, least: int) -> int:
    """How many entries a payload has behind its count: no more than there is room for, of `least` bytes each."""
    if not payload:
        return 0
    more = COMPACT_SIZE.get(payload[0], 0)
    claimed = int.from_bytes(payload[1 : 1 + more], "little") if more else payload[0]
    return min(claimed, max(len(payload) - 1 - more, 0) // least)
