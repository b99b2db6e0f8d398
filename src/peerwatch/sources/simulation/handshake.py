"""What is said when a connection opens, in Core's order.

Source: Bitcoin Core, net_processing.cpp (ProcessMessage for VERSION and VERACK, PushNodeVersion, SendMessages).
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

import numpy as np

from peerwatch.schema.batch import SECOND, Array
from peerwatch.sources.simulation.addresses import CJDNS, FULL_NODE, I2P, IPV4, NODE_P2P_V2, ONION
from peerwatch.sources.simulation.chain import Chain
from peerwatch.sources.simulation.events import Events, Script
from peerwatch.sources.simulation.model import MS, US, Model
from peerwatch.sources.simulation.personas import BLOCK_RELAY, FEELER, INBOUND, Hello, Persona

WTXID_RELAY_VERSION = 70016
"""Protocol version from which Core sends wtxidrelay and sendaddrv2."""

OUR_AGENT = b"/Satoshi:30.0.0/"
OUR_SERVICES = FULL_NODE | NODE_P2P_V2
MIN_RELAY_FEE = 100
"""DEFAULT_MIN_RELAY_TX_FEE, sat/kvB, v30."""


@dataclass(frozen=True, slots=True)
class Own:
    """Our node's public address: IPv4 in four bytes, and port."""

    ip: bytes
    port: int = 8333


class Handshake:
    """Writes the opening of every connection, and tells when it is complete."""

    def __init__(self, rng: np.random.Generator, model: Model, chain: Chain, own: Own) -> None:
        """Peers speak of `chain` and see us at `own`."""
        self._rng = rng
        self._model = model
        self._chain = chain
        self._own = own

    def run(self, peers: Array, arrived: dict[int, Persona]) -> list[Events]:
        """Openings of the connections that `arrived`; sets `ready` and the timers of their rows."""
        script = Script()
        for index in np.flatnonzero(np.isin(peers["id"], list(arrived))):
            row = peers[index : index + 1]
            who = arrived[int(row["id"][0])]
            if who.hello is not Hello.NONE:
                ready = self._inbound(script, row, who) if who.conn_type == INBOUND else self._outbound(script, row, who)
                if who.hello is Hello.FULL:
                    self._start_timers(row, ready)
        return [script.events()]

    def _inbound(self, script: Script, row: Array, who: Persona) -> int:
        peer, at = int(row["id"][0]), int(row["opened"][0])
        asked = at + who.rtt
        script.say(asked, peer, True, "version", self._their_version(who, asked))
        script.say(asked + 150 * US, peer, False, "version", self._our_version(who, asked))
        for n, kind in enumerate(_our_features(who)):
            script.say(asked + (180 + 30 * n) * US, peer, False, kind)
        ready = asked + who.rtt
        theirs = [*_their_features(who), *(["getaddr"] if who.asks_addrs else [])]
        for n, kind in enumerate(theirs):
            script.say(ready + (n - len(theirs)) * 40 * US, peer, True, kind)
        if who.hello is Hello.FULL:
            self._after_verack(script, peer, ready, who)
        return ready

    def _outbound(self, script: Script, row: Array, who: Persona) -> int:
        peer, at = int(row["id"][0]), int(row["opened"][0])
        answered = at + who.rtt
        script.say(at + 200 * US, peer, False, "version", self._our_version(who, at))
        script.say(answered, peer, True, "version", self._their_version(who, answered))
        asks = [] if who.conn_type == BLOCK_RELAY else ["getaddr"]  # Core: SetupAddressRelay
        for n, kind in enumerate([*_our_features(who), *asks]):
            script.say(answered + (150 + 30 * n) * US, peer, False, kind)
        ready = answered + 2 * MS
        if who.conn_type == FEELER:
            return ready
        for n, kind in enumerate(_their_features(who)):
            script.say(ready + 30 * n * US, peer, True, kind)
        self._after_verack(script, peer, ready + 200 * US, who)
        return ready

    def _after_verack(self, script: Script, peer: int, at: int, who: Persona) -> None:
        """What both sides send once the other's verack is there (pings and addresses have their own parts)."""
        back = at + who.rtt
        compact = struct.pack("<?Q", False, 2)
        fee = struct.pack("<Q", MIN_RELAY_FEE)
        script.say(at + 100 * US, peer, False, "sendcmpct", compact)
        if who.protocol >= WTXID_RELAY_VERSION:
            script.say(at + 120 * US, peer, True, "sendcmpct", compact)
        if who.wants_compact:  # after a block or two that came from us
            later = int(self._rng.exponential(self._model.block_s) * SECOND)
            script.say(back + later, peer, True, "sendcmpct", struct.pack("<?Q", True, 2))
        if who.has_blocks:
            script.say(at + 200 * US, peer, False, "getheaders", self._chain.getheaders())
            script.say(at + 300 * US, peer, True, "getheaders", self._chain.getheaders())
            script.say(at + 700 * US, peer, False, "headers", self._chain.last_headers())
            script.say(back + 300 * US, peer, True, "headers", self._chain.last_headers())
            script.say(back + 500 * US, peer, False, "sendheaders")
            if who.sends_headers:
                script.say(back + 800 * US, peer, True, "sendheaders")
        if who.conn_type != BLOCK_RELAY:
            script.say(at + 400 * US, peer, False, "feefilter", fee)
        if who.announces_tx:
            script.say(at + 500 * US, peer, True, "feefilter", fee)

    def _start_timers(self, row: Array, ready: int) -> None:
        """From `ready` on: pings begin at once, so does the first self-announcement; the fee filter was just sent."""
        soon = int(self._rng.integers(20 * MS, 200 * MS))
        row["ready"], row["ping_in"], row["ping_out"] = ready, ready + soon, ready + 100 * MS
        row["announce_in"], row["announce_out"] = ready + 2 * soon, ready + 110 * MS
        for timer in ("fee_in", "fee_out"):
            row[timer] = ready + int(self._rng.exponential(self._model.feefilter_s) * SECOND)

    def _their_version(self, who: Persona, at: int) -> bytes:
        relay = who.conn_type != FEELER and (who.wants_tx or who.announces_tx)
        us = b"\0" * 10 + b"\xff\xff" + self._own.ip
        head = struct.pack("<iQq", who.protocol, who.services, at // SECOND + who.skew_s)
        addresses = _net_addr(0, us, self._own.port) + _net_addr(who.services, bytes(16), 0)
        return head + addresses + self._end(who.user_agent.encode(), self._chain.height - who.height_lag, relay=relay)

    def _our_version(self, who: Persona, at: int) -> bytes:
        relay = who.conn_type not in (BLOCK_RELAY, FEELER)
        head = struct.pack("<iQq", 70016, OUR_SERVICES, at // SECOND)
        addresses = _net_addr(0, *v1_address(who)) + _net_addr(OUR_SERVICES, bytes(16), 0)
        return head + addresses + self._end(OUR_AGENT, self._chain.height, relay=relay)

    def _end(self, agent: bytes, height: int, *, relay: bool) -> bytes:
        """The end of a version: nonce, user agent, height, relay flag."""
        nonce = int(self._rng.integers(1, 1 << 63))
        return struct.pack("<QB", nonce, len(agent)) + agent + struct.pack("<i?", height, relay)


def _our_features(who: Persona) -> list[str]:
    """What we send between version and verack, verack included: what the other's version can understand."""
    return ["wtxidrelay", "sendaddrv2", "verack"] if who.protocol >= WTXID_RELAY_VERSION else ["verack"]


def _their_features(who: Persona) -> list[str]:
    wanted = {"wtxidrelay": who.wtxid, "sendaddrv2": who.addrv2, "verack": True}
    return [kind for kind in _our_features(who) if wanted[kind]]


def v1_address(who: Persona) -> tuple[bytes, int]:
    """The address as `version` can carry it: 16 bytes and port; zeros for what is behind a proxy or not IPv4 or IPv6."""
    if who.network in (ONION, I2P, CJDNS):
        return b"\0" * 16, 0
    host, port = who.address.rsplit(":", 1)
    if who.network == IPV4:
        return b"\0" * 10 + b"\xff\xff" + ipaddress.IPv4Address(host).packed, int(port)
    return ipaddress.IPv6Address(host.strip("[]")).packed, int(port)


def _net_addr(services: int, ip: bytes, port: int) -> bytes:
    return struct.pack("<Q", services) + ip + struct.pack(">H", port)
