"""Where the peers of a node are from: a row of `origin` for each connection, made of the first row that names its address."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from peerwatch.peers.netgroup import LONGEST, NETWORKS, NOT_ROUTABLE, UNROUTABLE, netgroup, network_of, split_address
from peerwatch.peers.origins import Origins
from peerwatch.peers.ours import Ours
from peerwatch.schema.batch import Array, Rows
from peerwatch.schema.table import Identity
from peerwatch.schema.tables.origin import Origin
from peerwatch.wire.raw import printable

SOURCES, PEERS = 8, 8192
"""Sources of one node, and peers of each, that are kept at most; of more peers those seen the longest ago are forgotten."""

NAMED, SEEN, CLOSED, ANEW = range(4)
"""What a row says: that a connection is there now, or was when looked at; that it is over; that the node begins anew."""
_CONNECTION = {"opened": NAMED, "described": NAMED, "closed": CLOSED}
_NODE = {"started": ANEW, "exited": ANEW}


class _Word(NamedTuple):
    """What one row says."""

    event: int
    """Index of the event that it belongs to."""
    kind: int
    ts: int
    seq: int
    peer: int
    inbound: bool | None
    address: str | None
    network: str | None


@dataclass(slots=True)
class _Source:
    session: int
    peers: OrderedDict[int, None] = field(default_factory=OrderedDict)
    """Those of which a row was made, the one seen last at the end."""


class Whereabouts:
    """Where the peers of one node are from, as each of its sources names them."""

    def __init__(self, origins: Origins, ours: Ours) -> None:
        """Start without any peer. `origins` is asked when a peer is met; `ours` is to know of the same rows already."""
        self._origins = origins
        self._ours = ours
        self._sources: dict[str, _Source] = {}

    def feed(
        self, identity: Identity, tables: Mapping[str, pa.RecordBatch], event_of: Mapping[str, Array]
    ) -> tuple[pa.RecordBatch | None, Array]:
        """Take the rows of one chunk, of which those of `connection`, `peer_state` and `node` tell something.

        Returns:
            Rows of `origin`, None for none, and the event that each belongs to. Their ts and seq are those of the row that each
            was made of.
        """
        source = self._source(identity)
        made = []
        for word in sorted(_words(tables, event_of), key=lambda word: word.event):
            if word.kind == ANEW:
                source.peers.clear()
            elif word.kind == CLOSED:
                source.peers.pop(word.peer, None)
            elif word.peer in source.peers:
                source.peers.move_to_end(word.peer)
            elif word.address is not None:
                source.peers[word.peer] = None
                if len(source.peers) > PEERS:
                    source.peers.popitem(last=False)
                made.append((word.event, self._row(identity, word, word.address)))
        if not made:
            return None, np.zeros(0, np.int64)
        columns = {name: [row[name] for _, row in made] for name in made[0][1]}
        return Origin.build(identity, columns), np.array([event for event, _ in made], np.int64)

    def _source(self, identity: Identity) -> _Source:
        source = self._sources.get(identity.source)
        if source is None or source.session != identity.session:
            self._sources.pop(identity.source, None)
            while len(self._sources) >= SOURCES:
                del self._sources[next(iter(self._sources))]
            source = self._sources[identity.source] = _Source(identity.session)
        return source

    def _row(self, identity: Identity, word: _Word, address: str) -> dict[str, Any]:
        host = split_address(address[: 2 * LONGEST])[0][:LONGEST]
        told = UNROUTABLE if word.network == NOT_ROUTABLE else word.network
        return {
            "ts": word.ts,
            "seq": word.seq,
            "peer": word.peer,
            "inbound": word.inbound,
            "address": printable(host.encode(errors="replace")),
            # The node knows better than the address: who comes through Tor comes from 127.0.0.1.
            "network": told if told in NETWORKS else network_of(host),
            "netgroup": netgroup(host, told),
            "asn": self._origins.asn_of(host),
            "asn_map": self._origins.asn_map,
            "lists": ", ".join(self._origins.lists_of(host)) or None,
            "ours": self._ours.has(identity, word.peer),
        }

    def snapshot(self) -> dict[str, Any]:
        """All state, as JSON-able values."""
        return {name: {"session": source.session, "peers": list(source.peers)} for name, source in self._sources.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a snapshot.

        Raises:
            KeyError, TypeError, ValueError: it is no such snapshot.
        """
        self._sources = {
            str(name): _Source(int(each["session"]), OrderedDict.fromkeys(map(int, each["peers"])))
            for name, each in state.items()
        }


def _words(tables: Mapping[str, pa.RecordBatch], event_of: Mapping[str, Array]) -> Iterator[_Word]:
    """What the rows of a chunk say, table by table."""
    if "node" in tables:
        rows = Rows(tables["node"])
        for event, what in zip(event_of["node"].tolist(), rows["event"].tolist(), strict=True):
            if what in _NODE:
                yield _Word(event, _NODE[what], 0, 0, 0, None, None, None)
    for name in ("connection", "peer_state"):
        if name not in tables:
            continue
        rows = Rows(tables[name])
        kinds = [_CONNECTION.get(what) for what in rows["event"].tolist()] if name == "connection" else [SEEN] * len(rows)
        columns = (rows[column].tolist() for column in ("ts", "seq", "peer"))
        texts = (tables[name].column(column).to_pylist() for column in ("inbound", "address", "network"))
        for event, kind, *rest in zip(event_of[name].tolist(), kinds, *columns, *texts, strict=True):
            if kind is not None:
                yield _Word(event, kind, *rest)
