"""The table of connections on which all parts of the simulation work."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from peerwatch.schema.batch import SECOND, Array
from peerwatch.sources.simulation.addresses import CJDNS, I2P, IPV4, ONION
from peerwatch.sources.simulation.model import FAR
from peerwatch.sources.simulation.personas import FULL_RELAY, INBOUND, Persona

PEER = np.dtype(
    [
        ("id", "i8"), ("visit", "i8"), ("opened", "i8"), ("ready", "i8"), ("leaves", "i8"), ("closes", "i8"),
        ("rtt", "i8"), ("skew_s", "i8"), ("listed", "i8"), ("network", "u1"), ("group", "u8"), ("merit", "f8"),
        ("inbound", "?"), ("hidden", "?"), ("full_relay", "?"), ("replaced", "?"),
        ("announces_tx", "?"), ("wants_tx", "?"), ("addr_relay", "?"), ("has_blocks", "?"), ("wants_compact", "?"),
        ("sends_headers", "?"), ("wtxid", "?"), ("addrv2", "?"), ("misbehaves", "?"),
        ("ping_in", "i8"), ("ping_out", "i8"), ("fee_in", "i8"), ("fee_out", "i8"), ("announce_in", "i8"), ("announce_out", "i8"),
        ("addr_rate", "f8"), ("tokens", "f8"), ("refilled", "i8"),
    ]
)  # fmt: skip
"""One connection. Times are ns UTC: `ready` when the handshake is complete (FAR if never), `leaves` when it is meant to end,
`closes` when it does (FAR while that is not known). `visit` is the scenario's number of it, -1 for normal traffic; `replaced`
tells that we open another when it ends; `group` is its netgroup, `merit` a fixed random number. What is named as in Persona comes
from there. The timers (`ping_in` … `announce_out`: next time that something is due, sent by the peer or by us) and the address
bucket (`tokens` at `refilled`) are state of the parts that use them."""

TIMERS = ("ping_in", "ping_out", "fee_in", "fee_out", "announce_in", "announce_out")
_TRAITS = ("rtt", "skew_s", "listed", "network", "announces_tx", "wants_tx", "addr_relay", "has_blocks", "wants_compact",
           "sends_headers", "wtxid", "addrv2", "misbehaves", "addr_rate")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, ns: start included, end not."""

    start: int
    end: int

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.end - self.start) / SECOND

    def has(self, at: Array) -> Array:
        """Mask of the times that are in it."""
        return (at >= self.start) & (at < self.end)


def new_peer(peer: int, at: int, who: Persona, merit: float) -> Array:
    """The row of a connection that opens at `at` (ns), as an array of one."""
    row = np.zeros(1, PEER)
    row["id"], row["visit"], row["opened"], row["leaves"], row["closes"], row["ready"] = peer, -1, at, at + who.stay, FAR, FAR
    for timer in TIMERS:
        row[timer] = FAR
    for trait in _TRAITS:
        row[trait] = getattr(who, trait)
    row["inbound"], row["full_relay"] = who.conn_type == INBOUND, who.conn_type == FULL_RELAY
    row["hidden"] = who.network in (ONION, I2P, CJDNS)
    row["group"], row["merit"] = netgroup(who), merit
    row["tokens"], row["refilled"] = 1.0, at  # Core: Peer::m_addr_token_bucket begins with 1
    return row


def netgroup(who: Persona) -> int:
    """A number for the netgroup of an address (Core: NetGroupManager): /16 of IPv4, /32 of IPv6, else the network."""
    host = who.address.rsplit(":", 1)[0]
    if who.network == IPV4:
        host = ".".join(host.split(".")[:2])
    elif who.network != CJDNS and "[" in host:
        host = ":".join(host.split(":")[:2])
    else:
        host = ""
    return who.network << 32 | zlib.crc32(host.encode())


def run_out(rng: np.random.Generator, span: Span, peers: Array, timer: str, mean_s: float) -> tuple[Array, Array]:
    """Whose timer runs out in `span` (indices), and when (ns); sets it anew for an exponential time, not within the same span."""
    due = np.flatnonzero(peers[timer] < span.end)
    at = peers[timer][due]
    peers[timer][due] = np.maximum(at + (rng.exponential(mean_s, len(due)) * SECOND).astype(np.int64), span.end)
    return due, at
