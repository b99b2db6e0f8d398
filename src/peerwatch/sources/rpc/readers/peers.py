"""The peers of the node: how each stands, and the bytes of each message type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from peerwatch.schema.batch import SECOND
from peerwatch.schema.table import Table
from peerwatch.schema.tables.own_address import OwnAddress
from peerwatch.schema.tables.peer_state import PeerState
from peerwatch.schema.tables.peer_traffic import PeerTraffic
from peerwatch.sources.gathered import Rows
from peerwatch.sources.rpc._api import Answer, Known, Request
from peerwatch.sources.rpc.fields import (
    Field,
    Fields,
    agent,
    bits,
    count,
    duration_ns,
    endpoint,
    flag,
    integer,
    label,
    length,
    names,
    optional,
    per_mille,
    read_objects,
    satoshi,
    sizes,
    system,
    text,
    time_ns,
)

METHOD = "getpeerinfo"
TRAFFIC_NS = 59 * SECOND
"""From one telling of the traffic to the next: a minute, less what calls ten seconds apart may come early."""
MOST_CLAIMED = 1024
"""Addresses of the node that are told in a session because peers which connected to it say so: anyone may say any."""
TYPE_BYTES = 12
"""Longest message type (src/protocol.h: CMessageHeader::MESSAGE_TYPE_SIZE)."""
TYPES = 256
"""Different message types that are told of; Core has about 40, and counts all others together."""

PEER = Field("id", count)
COLUMNS = {
    "address": Field("addr", text),
    "network": Field("network", label),
    "inbound": Field("inbound", flag),
    "conn_type": Field("connection_type", label),
    "transport": Field("transport_protocol_type", label, since=260_000),
    "protocol": Field("version", integer),
    "user_agent": Field("subver", agent),
    "services": Field("services", bits),
    "established": Field("conntime", time_ns),
    "last_send": Field("lastsend", time_ns),
    "last_receive": Field("lastrecv", time_ns),
    "last_transaction": Field("last_transaction", time_ns),
    "last_block": Field("last_block", time_ns),
    "bytes_sent": Field("bytessent", count),
    "bytes_received": Field("bytesrecv", count),
    "time_offset": Field("timeoffset", integer),
    "ping": optional("pingtime", duration_ns),
    "ping_least": optional("minping", duration_ns),
    "ping_waiting": optional("pingwait", duration_ns),
    "starting_height": Field("startingheight", count, until=310_000),
    "presynced_headers": Field("presynced_headers", count, since=240_000),
    "synced_headers": Field("synced_headers", count),
    "synced_blocks": Field("synced_blocks", count),
    "blocks_in_flight": Field("inflight", length),
    "high_bandwidth_to": Field("bip152_hb_to", flag),
    "high_bandwidth_from": Field("bip152_hb_from", flag),
    "relay_txs": Field("relaytxes", flag),
    "addr_relay": Field("addr_relay_enabled", flag, since=230_000),
    "addr_processed": Field("addr_processed", count),
    "addr_rate_limited": Field("addr_rate_limited", count),
    "permissions": Field("permissions", names),
    "fee_filter": Field("minfeefilter", satoshi),
    "inv_to_send": Field("inv_to_send", count, since=310_000),
    "last_inv_sequence": Field("last_inv_sequence", count, since=310_000),
    "cpu_load": optional("cpu_load", per_mille),
    "mapped_as": optional("mapped_as", system),
}
"""From 31 on `startingheight` is there with -deprecatedrpc only. `cpu_load` is in patched nodes: thousandths of the time
connected.
"""

BYTES = {False: Field("bytessent_per_msg", sizes), True: Field("bytesrecv_per_msg", sizes)}
"""By whether the node received them."""
OWN = {"addrlocal": optional("addrlocal", endpoint), "addrbind": optional("addrbind", endpoint)}

Traffic = dict[tuple[bool, str], int]
"""Bytes so far, by whether the node received them, and message type."""


class Peers:
    """Makes `peer_state`, `peer_traffic` and `own_address` of `getpeerinfo`."""

    requests: Sequence[Request] = (Request(METHOD, 10.0),)
    tables: Sequence[type[Table]] = (PeerState, PeerTraffic, OwnAddress)

    def __init__(self, known: Known) -> None:
        """No peer was seen yet."""
        self._fields = Fields(METHOD, known)
        self._traffic: dict[int, tuple[int, Traffic]] = {}
        """When each peer was in an answer last, ns UTC, and its traffic then; those that are gone until that is told."""
        self._told: dict[int, Traffic] = {}
        self._due: tuple[int, int] | None = None
        """Span of time in which the traffic need not be told again."""
        self._types: set[str] = set()
        self._own: set[tuple[str, str, int | None]] = set()
        self._claimed = 0

    def read(self, answer: Answer) -> Iterable[Rows]:
        """Rows of one answer; `Reader` says what is raised."""
        peers = [(self._fields.value(each, PEER), each) for each in read_objects(answer.result)]
        known = [(peer, each) for peer, each in peers if peer is not None]
        ts, ids, objects = answer.answered, [peer for peer, _ in known], [each for _, each in known]
        states = self._fields.columns(objects, COLUMNS)
        for peer, each in known:
            self._traffic[peer] = ts, self._bytes(each)
        rows: list[Rows] = [(PeerState, {"ts": [ts] * len(ids), "peer": ids, **states})]
        rows.append((OwnAddress, self._own_addresses(objects, ts)))
        if self._due is None or not self._due[0] <= ts < self._due[1]:
            self._due = ts, ts + TRAFFIC_NS
            rows.append((PeerTraffic, self._changed(set(ids))))
        return rows

    def lacking(self) -> Sequence[str]:
        """Fields that were missing."""
        return self._fields.lacking()

    def _bytes(self, peer: Mapping[str, Any]) -> Traffic:
        """Traffic of one peer."""
        traffic: Traffic = {}
        for inbound, field in BYTES.items():
            for kind, octets in (self._fields.value(peer, field) or {}).items():
                name = text(kind, TYPE_BYTES)
                if name not in self._types and len(self._types) >= TYPES:
                    self._fields.odd(field.name)
                    continue
                self._types.add(name)
                traffic[inbound, name] = octets
        return traffic

    def _changed(self, present: set[int]) -> Mapping[str, list[Any]]:
        """Columns of `peer_traffic` for what is other than it was told. Peers that are gone are told for the last time."""
        rows = [
            (seen, peer, *key, octets)
            for peer, (seen, traffic) in self._traffic.items()
            for key, octets in traffic.items()
            if self._told.get(peer, {}).get(key) != octets
        ]
        self._traffic = {peer: each for peer, each in self._traffic.items() if peer in present}
        self._told = {peer: traffic for peer, (_, traffic) in self._traffic.items()}
        names_of = ("ts", "peer", "inbound", "type", "bytes")
        return {name: [row[place] for row in rows] for place, name in enumerate(names_of)}

    def _own_addresses(self, peers: Sequence[Mapping[str, Any]], ts: int) -> Mapping[str, list[Any]]:
        """Columns of `own_address` for ends of connections on our side that are new.

        The port is the node's own on connections that it accepted; on others it is any.
        """
        new: list[tuple[str, str, int | None]] = []
        for peer in peers:
            for origin, field in OWN.items():
                if (found := self._fields.value(peer, field)) is None:
                    continue
                accepted = peer.get("inbound") is True
                row = (origin, found[0], found[1] if accepted else None)
                claimed = accepted and origin == "addrlocal"
                if row in self._own or (claimed and self._claimed >= MOST_CLAIMED):
                    continue
                self._claimed += claimed
                self._own.add(row)
                new.append(row)
        columns = {name: [row[place] for row in new] for place, name in enumerate(("origin", "address", "port"))}
        return {"ts": [ts] * len(new), **columns}
