"""Which peers of a node are our own: the probe that looks at it from outside, and has no place in what is judged.

The probe says at which address and port of its own it connects, before it does. A connection to the node from there, as long as
that holds, is ours, whoever tells of it; and so is every row about its peer. The sources that have the node's own peer ids share
what one of them knows. Others number peers by themselves, and are matched one by one.

What a source says of a connection may arrive before the probe's word: the latest connections are remembered for that.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from peerwatch.schema.batch import SECOND, Array, Rows
from peerwatch.schema.table import Identity

NODE_IDS = ("usdt", "rpc", "debuglog")
"""Sources whose peer ids are the node's own."""
_NODE = "node"

EARLY_NS, LATE_NS = SECOND, 5 * SECOND
"""How far the times of a connection may lie outside of those that the probe gives: clocks differ, and nodes close late."""

ADDRESSES, MET, PEERS = 256, 64, 1024
"""Addresses of the probe, latest connections and own peers that are remembered at most."""


@dataclass(slots=True)
class _Span:
    """When an address is the probe's, ns UTC."""

    since: int
    until: int | None = None

    def has(self, ts: int) -> bool:
        return self.since - EARLY_NS <= ts and (self.until is None or ts <= self.until + LATE_NS)


@dataclass(slots=True)
class _Own:
    """A peer that is the probe."""

    address: str
    turned: bool = False
    """Whether a source began anew since: the id may soon be another peer's."""


class Ours:
    """The peers of one node that are our own."""

    def __init__(self) -> None:
        """Know of none."""
        self._spans: OrderedDict[str, _Span] = OrderedDict()
        self._peers: dict[str, dict[int, _Own]] = {}
        """By who gives the ids."""
        self._sessions: dict[str, int] = {}
        self._met: deque[tuple[str, int, str, int]] = deque(maxlen=MET)
        """Who gives the ids, id, address and time (ns UTC) of the latest connections."""

    def learn(self, identity: Identity, tables: Mapping[str, pa.RecordBatch]) -> None:
        """Take the rows of one chunk; those of `probe`, `connection` and `peer_state` tell something."""
        self._turn(identity)
        if "probe" in tables:
            self._listen(Rows(tables["probe"]))
        if "connection" in tables:
            self._meet(_ids_of(identity), Rows(tables["connection"]), remember=True)
        if "peer_state" in tables and self._spans:
            self._meet(_ids_of(identity), Rows(tables["peer_state"]), remember=False)

    def has(self, identity: Identity, peer: int) -> bool:
        """Whether a peer, by the id that rows of `identity` give it, is our own."""
        return peer in self._peers.get(_ids_of(identity), ())

    def without(
        self, identity: Identity, tables: Mapping[str, pa.RecordBatch], event_of: Mapping[str, Array]
    ) -> tuple[Mapping[str, pa.RecordBatch], Mapping[str, Array]]:
        """The tables of one chunk, and the events of their rows, without the rows that are about peers of our own.

        What has no column `peer` stays; when nothing is ours, both are returned as they are.
        """
        peers = self._peers.get(_ids_of(identity))
        if not peers:
            return tables, event_of
        ids = np.fromiter(peers, np.int64, len(peers))
        kept, kept_of = dict(tables), dict(event_of)
        for name, batch in tables.items():
            if "peer" not in batch.schema.names:
                continue
            column = batch.column("peer")
            others = ~np.isin((column.fill_null(-1) if column.null_count else column).to_numpy(), ids)
            if others.all():
                continue
            kept[name], kept_of[name] = batch.filter(pa.array(others)), event_of[name][others]
            if not others.any():
                del kept[name], kept_of[name]
        return kept, kept_of

    def _turn(self, identity: Identity) -> None:
        """Peers of a source are others when its session is another one, unless it has the node's ids and the node goes on."""
        before = self._sessions.get(identity.source)
        self._sessions[identity.source] = identity.session
        if before is None or before == identity.session:
            return
        ids = _ids_of(identity)
        if ids != _NODE:
            self._peers.pop(ids, None)
            return
        for own in self._peers.get(ids, {}).values():
            own.turned = True
        self._forget()

    def _listen(self, rows: Rows) -> None:
        """What the probe says."""
        for ts, event, address in zip(rows["ts"].tolist(), rows["event"].tolist(), rows["address"].tolist(), strict=True):
            if event == "connecting":
                self._spans[address] = _Span(ts)
                self._spans.move_to_end(address)
                if len(self._spans) > ADDRESSES:
                    self._spans.popitem(last=False)
                for ids, peer, met, when in self._met:
                    if met == address:
                        self._recognize(ids, peer, address, when)
            elif event in ("closed", "failed") and address in self._spans:
                self._spans[address].until = ts
                self._forget()

    def _meet(self, ids: str, rows: Rows, *, remember: bool) -> None:
        """Rows that name peers and their addresses."""
        columns = (rows[name].tolist() for name in ("ts", "peer", "address"))
        inbound = rows.batch.column("inbound").to_pylist()
        for (ts, peer, address), is_inbound in zip(zip(*columns, strict=True), inbound, strict=True):
            if address is None or is_inbound is False:
                continue
            self._recognize(ids, peer, address, ts)
            if remember:
                self._met.append((ids, peer, address, ts))

    def _recognize(self, ids: str, peer: int, address: str, ts: int) -> None:
        span = self._spans.get(address)
        if span is None or not span.has(ts):
            return
        known = self._peers.setdefault(ids, {})
        if peer not in known:
            known[peer] = _Own(address)
            if len(known) > PEERS:
                del known[next(iter(known))]

    def _forget(self) -> None:
        """Forget peers whose id may be another one's soon and whose connection is over: the node has gone."""
        known = self._peers.get(_NODE, {})
        self._peers[_NODE] = {peer: own for peer, own in known.items() if not (own.turned and self._is_over(own.address))}

    def _is_over(self, address: str) -> bool:
        span = self._spans.get(address)
        return span is None or span.until is not None

    def snapshot(self) -> dict[str, Any]:
        """Everything, as JSON-able values."""
        return {
            "spans": [[address, span.since, span.until] for address, span in self._spans.items()],
            "peers": [[i, p, own.address, own.turned] for i, known in self._peers.items() for p, own in known.items()],
            "sessions": self._sessions,
            "met": [list(each) for each in self._met],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a snapshot.

        Raises:
            KeyError, TypeError, ValueError: it is no such snapshot.
        """
        self._spans = OrderedDict((str(address), _Span(since, until)) for address, since, until in state["spans"])
        self._peers = {}
        for ids, peer, address, turned in state["peers"]:
            self._peers.setdefault(str(ids), {})[int(peer)] = _Own(str(address), bool(turned))
        self._sessions = {str(source): int(session) for source, session in state["sessions"].items()}
        self._met = deque(((str(i), int(p), str(a), int(ts)) for i, p, a, ts in state["met"]), maxlen=MET)


def _ids_of(identity: Identity) -> str:
    return _NODE if identity.source in NODE_IDS else identity.source
