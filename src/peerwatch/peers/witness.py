"""What a source saw of the messages of each peer, counted so that it can be compared with the node's own figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from peerwatch.schema.batch import Array, Rows
from peerwatch.stats.grouping import group

V1_OVERHEAD = 24
"""Header of a message: magic, type, size, checksum (Core, protocol.h: CMessageHeader::HEADER_SIZE)."""
V2_OVERHEAD = 20
"""3 bytes of length, 1 of header, 16 of authentication (BIP 324)."""
V2_LONG_TYPE = 13
"""A type by its name: a zero byte and 12 of name (BIP 324)."""
V2_SPARE = V2_LONG_TYPE - 1
"""What a peer may take more, by naming a type that has a number."""

V2_NUMBERED = frozenset({
    "addr", "block", "blocktxn", "cmpctblock", "feefilter", "filteradd", "filterclear", "filterload", "getblocks", "getblocktxn",
    "getdata", "getheaders", "headers", "inv", "mempool", "merkleblock", "notfound", "ping", "pong", "sendcmpct", "tx",
    "getcfilters", "cfilter", "getcfheaders", "cfheaders", "getcfcheckpt", "cfcheckpt", "addrv2",
})  # fmt: skip
"""Message types that are one byte in v2 (BIP 324)."""

MOST_KEYS = 100_000
"""Peers times directions times types that are counted; what comes beyond is not compared."""

Key = tuple[int, bool, str]
"""Peer, whether the peer sent it, message type."""


class Sum(NamedTuple):
    """Messages, and bytes of their payloads."""

    messages: int
    payload: int

    def on_wire(self, transport: str, kind: str) -> int:
        """Bytes that they took, transport (v1 or v2) included."""
        if transport == "v1":
            return self.payload + self.messages * V1_OVERHEAD
        return self.payload + self.messages * (V2_OVERHEAD + (1 if kind in V2_NUMBERED else V2_LONG_TYPE))


class Seen(NamedTuple):
    """What a source saw until now."""

    wire: dict[Key, int]
    """Bytes on the wire, where each message took as few as it can."""
    nameable: dict[Key, int]
    """Messages of which each may have taken `V2_SPARE` bytes more; no entry for none."""
    whole: set[int]
    """Peers whose connections were seen from their beginning."""


class Witness:
    """One session of one source."""

    def __init__(self, session: int, *, own_ids: bool) -> None:
        """`own_ids`: the source numbers peers by itself, so that only their addresses tell which they are."""
        self.session = session
        self.whole: set[int] = set()
        """Peers, by the source's ids, whose connections it saw from their beginning."""
        self._own_ids = own_ids
        self._sums: dict[Key, Sum] = {}
        self._latest: dict[str, int] = {}
        """The newest peer at each address."""

    def update(self, tables: Mapping[str, pa.RecordBatch]) -> None:
        """Take rows of `connection`, `message` and `log_traffic`."""
        if "connection" in tables:
            self._connections(Rows(tables["connection"]))
        if "message" in tables:
            rows = Rows(tables["message"])
            self._count(rows, np.ones(len(rows), np.int64), rows["size"])
        if "log_traffic" in tables:
            rows = Rows(tables["log_traffic"])
            self._count(rows, rows["messages"], rows["bytes"])

    def seen(self, transport: Mapping[int, str], ids: Mapping[str, int]) -> Seen:
        """What was seen so far, by the node's own ids.

        Args:
            transport: v1 or v2, by the node's id; of other peers nothing is told.
            ids: the node's ids by address.
        """
        node_id = {peer: ids[address] for address, peer in self._latest.items() if address in ids} if self._own_ids else None

        def named(peer: int) -> int | None:
            found = peer if node_id is None else node_id.get(peer)
            return found if found in transport else None

        wire: dict[Key, int] = {}
        nameable: dict[Key, int] = {}
        for (peer, inbound, kind), total in self._sums.items():
            if (name := named(peer)) is not None:
                wire[name, inbound, kind] = total.on_wire(transport[name], kind)
                if inbound and transport[name] == "v2" and kind in V2_NUMBERED:
                    nameable[name, inbound, kind] = total.messages
        return Seen(wire, nameable, {name for name in map(named, self.whole) if name is not None})

    def _connections(self, rows: Rows) -> None:
        columns = (rows[name].tolist() for name in ("peer", "event", "address"))
        for peer, event, address in zip(*columns, strict=True):
            if event == "opened":
                self.whole.add(peer)
                if address:
                    if (before := self._latest.get(address)) is not None and self._own_ids:
                        self._forget({before})
                    self._latest[address] = peer
            elif event in ("closed", "evicted"):
                self._forget({peer})

    def _forget(self, peers: set[int]) -> None:
        self.whole -= peers
        self._sums = {key: total for key, total in self._sums.items() if key[0] not in peers}
        self._latest = {address: peer for address, peer in self._latest.items() if peer not in peers}

    def _count(self, rows: Rows, messages: Array, payload: Array) -> None:
        codes, names = rows.codes("type")
        kinds, peers = len(names) or 1, rows["peer"]
        least = int(peers.min(initial=0))
        groups, back = group(((peers - least) * 2 + rows["inbound"]) * kinds + codes)
        counts = np.bincount(back, weights=messages, minlength=len(groups)).astype(np.int64).tolist()
        sizes = np.bincount(back, weights=payload, minlength=len(groups)).astype(np.int64).tolist()
        for code, count, size in zip(groups.tolist(), counts, sizes, strict=True):
            rest, kind = divmod(code, kinds)
            key = (rest // 2 + least, bool(rest % 2), names[kind])
            before = self._sums.get(key)
            if before is not None:
                self._sums[key] = Sum(before.messages + count, before.payload + size)
            elif len(self._sums) < MOST_KEYS:
                self._sums[key] = Sum(count, size)
