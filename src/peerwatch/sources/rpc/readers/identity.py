"""What the node is: version, features, networks and labels, told at first and whenever something of it changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from peerwatch.schema.table import Table
from peerwatch.schema.tables.node_identity import NodeIdentity
from peerwatch.schema.tables.own_address import OwnAddress
from peerwatch.sources.gathered import Rows
from peerwatch.sources.rpc._api import Answer, Known, Request
from peerwatch.sources.rpc.fields import (
    Field,
    Fields,
    agent,
    bits,
    count,
    flag,
    label,
    length,
    names,
    objects,
    optional,
    port,
    read_object,
    satoshi,
    text,
)

NETWORK, CHAIN = "getnetworkinfo", "getblockchaininfo"

COLUMNS = {
    NETWORK: {
        "version": Field("version", count),
        "user_agent": Field("subversion", agent),
        "protocol": Field("protocolversion", count),
        "services": Field("localservices", bits),
        "service_names": Field("localservicesnames", names),
        "relay_txs": Field("localrelay", flag),
        "relay_fee": Field("relayfee", satoshi),
        "own_addresses": Field("localaddresses", length),
    },
    CHAIN: {"chain": Field("chain", label), "pruned": Field("pruned", flag)},
}
NETWORKS, ADDRESSES = Field("networks", objects), Field("localaddresses", objects)
NAME, REACHABLE, PROXY = Field("name", label), Field("reachable", flag), Field("proxy", text)
ADDRESS, PORT = Field("address", text), optional("port", port)
LABELS = ("organization", "region", "role", "variant")


class Identity:
    """Makes `node_identity` and `own_address` of `getnetworkinfo`, `getblockchaininfo` and what is configured.

    The first row waits for both answers; the first of them when it comes for the second time, should the other be forbidden.
    """

    requests: Sequence[Request] = (Request(NETWORK, 60.0), Request(CHAIN, 60.0))
    tables: Sequence[type[Table]] = (NodeIdentity, OwnAddress)

    def __init__(self, known: Known) -> None:
        """Nothing was told yet."""
        self._known = known
        self._fields = {method: Fields(method, known) for method in COLUMNS}
        self._columns: dict[str, Mapping[str, Any]] = {}
        """Columns of the last answer of each method."""
        self._told: Mapping[str, Any] | None = None
        self._addresses: set[tuple[str, str, int | None]] = set()

    def read(self, answer: Answer) -> Iterable[Rows]:
        """Rows of what is new; `Reader` says what is raised."""
        method, an_object = answer.method, read_object(answer.result)
        fields = self._fields[method]
        columns = {name: fields.value(an_object, field) for name, field in COLUMNS[method].items()}
        came_before = method in self._columns
        rows: list[Rows] = []
        if method == NETWORK:
            columns |= self._networks(an_object)
            rows += self._own(an_object, answer.answered)
        self._columns[method] = columns
        if self._told is not None or came_before or len(self._columns) == len(COLUMNS):
            rows += self._changed(answer.answered)
        return rows

    def lacking(self) -> Sequence[str]:
        """Fields that were missing."""
        return [name for fields in self._fields.values() for name in fields.lacking()]

    def _changed(self, ts: int) -> Iterable[Rows]:
        """A row if something is other than it was told."""
        known = self._known
        own = {"listens": known.listens, "binds": known.binds, "started": known.started}
        labels = {name: known.labels.get(name) for name in LABELS}
        now = {name: value for of in (*self._columns.values(), own, labels) for name, value in of.items()}
        before, self._told = self._told, now
        if before == now:
            return []
        names_of = None if before is None else ",".join(sorted(name for name in now if now[name] != before.get(name)))
        return [(NodeIdentity, {"ts": [ts], "changed": [names_of], **{name: [value] for name, value in now.items()}})]

    def _networks(self, an_object: Mapping[str, Any]) -> Mapping[str, str | None]:
        """Networks that can be reached, and those of them that go through a proxy."""
        fields = self._fields[NETWORK]
        found = fields.value(an_object, NETWORKS)
        if found is None:
            return {"networks": None, "proxied": None}
        reached = [each for each in found if fields.value(each, REACHABLE) and fields.value(each, NAME)]
        proxied = [each for each in reached if fields.value(each, PROXY)]
        return {key: ",".join(each["name"] for each in of) for key, of in (("networks", reached), ("proxied", proxied))}

    def _own(self, an_object: Mapping[str, Any], ts: int) -> Iterable[Rows]:
        """Addresses of the node that were not told yet."""
        fields = self._fields[NETWORK]
        found = {("configured", *each) for each in self._known.configured_addresses}
        for each in fields.value(an_object, ADDRESSES) or ():
            if (address := fields.value(each, ADDRESS)) is not None:
                found.add(("localaddresses", address, fields.value(each, PORT)))
        new = sorted(found - self._addresses, key=str)
        self._addresses |= found
        columns = {name: [each[place] for each in new] for place, name in enumerate(("origin", "address", "port"))}
        return [(OwnAddress, {"ts": [ts] * len(new), **columns})]
