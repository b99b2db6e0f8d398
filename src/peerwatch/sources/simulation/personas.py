"""Who is at the other end of a connection: kinds of peers, and how they are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from peerwatch.schema.batch import SECOND
from peerwatch.sources.simulation.addresses import (
    CJDNS,
    CORE_NETWORK,
    FULL_NODE,
    I2P,
    IPV4,
    IPV6,
    NODE_P2P_V2,
    NODE_WITNESS,
    ONION,
    Pool,
)
from peerwatch.sources.simulation.model import DAY, MINUTE, MS, Model

INBOUND = "inbound"
FULL_RELAY = "outbound-full-relay"
BLOCK_RELAY = "block-relay-only"
FEELER = "feeler"


class Hello(IntEnum):
    """How far a peer goes with the handshake."""

    NONE = 0
    """Connects and says nothing."""
    VERSION = 1
    """Sends its version, and goes before or right after the handshake is complete."""
    FULL = 2


@dataclass(frozen=True, slots=True)
class Persona:
    """One remote side. Times in ns.

    `network` is a BIP 155 number; `listed` the index of the address it gossips as its own in the pool, -1 for none;
    `addr_rate` addresses a second that it gossips; `stay` from opening to its own leaving.
    """

    address: str
    network: int
    conn_type: str = INBOUND
    user_agent: str = "/Satoshi:30.0.0/"
    protocol: int = 70016
    services: int = FULL_NODE | NODE_P2P_V2
    hello: Hello = Hello.FULL
    stay: int = 30 * DAY
    rtt: int = SECOND // 10
    skew_s: int = 0
    height_lag: int = 0
    listed: int = -1
    addr_rate: float = 0.0
    announces_tx: bool = True
    wants_tx: bool = True
    addr_relay: bool = True
    asks_addrs: bool = True
    has_blocks: bool = True
    wants_compact: bool = False
    sends_headers: bool = True
    wtxid: bool = True
    addrv2: bool = True
    misbehaves: bool = False


_AGENTS = (
    ("/Satoshi:30.0.0/", 0.15), ("/Satoshi:29.1.0/", 0.17), ("/Satoshi:29.0.0/", 0.10), ("/Satoshi:28.1.0/", 0.10),
    ("/Satoshi:27.1.0/", 0.08), ("/Satoshi:27.0.0/", 0.05), ("/Satoshi:26.0.0/", 0.04), ("/Satoshi:25.0.0/", 0.05),
    ("/Satoshi:24.0.1/", 0.03), ("/Satoshi:22.0.0/", 0.02), ("/Satoshi:29.2.0/Knots:20251110/", 0.12),
    ("/Satoshi:28.1.0/Knots:20250305/", 0.05), ("/btcwire:0.5.0/btcd:0.24.2/", 0.01), ("/Satoshi:0.20.1/", 0.03),
)  # fmt: skip
"""Software of full nodes. Assumed, after what public crawlers show at the end of 2025."""

_OLD = "/Satoshi:0.20.1/"
"""Speaks protocol 70015: no wtxidrelay (BIP 339), no addrv2 (BIP 155)."""

_LIGHT_AGENTS = ("/bitcoinj:0.16.3/", "/BitcoinKit:0.1.0/", "/breadwallet:2.1/")
_CRAWLER_AGENTS = ("/bitnodes.io:0.3/", "/dsn.tm.kit.edu/bitcoin:0.9.99/", "/seeder:0.2.0/")

_ARRIVALS = (("full", 0.46), ("blocks", 0.11), ("light", 0.08), ("crawler", 0.10), ("feeler", 0.20), ("silent", 0.05))
"""What arrives. Assumed: two of ten connections of a full node are block-relay-only, and feelers and crawlers are many."""

_INBOUND_NETWORKS = ((IPV4, 0.70), (IPV6, 0.10), (ONION, 0.15), (I2P, 0.04), (CJDNS, 0.01))
_OUTBOUND_NETWORKS = ((IPV4, 0.60), (IPV6, 0.12), (ONION, 0.25), (I2P, 0.03))
_HIDDEN = (ONION, I2P)


def _software(agent: str) -> dict[str, Any]:
    """What a full node's software brings with it."""
    if agent == _OLD:
        return {"user_agent": agent, "protocol": 70015, "wtxid": False, "addrv2": False, "services": FULL_NODE}
    return {"user_agent": agent}


class Crowd:
    """Draws personas. All shares that are not in the model are assumed."""

    def __init__(self, rng: np.random.Generator, pool: Pool, model: Model) -> None:
        """Draw from `pool`."""
        self._rng = rng
        self._pool = pool
        self._model = model
        self._of_network = {n: pool.of_network(n) for n in CORE_NETWORK}

    def inbound(self) -> Persona:
        """Somebody who connects to us."""
        kinds, shares = zip(*_ARRIVALS, strict=True)
        kind = kinds[self._pick(shares)]
        if kind in ("full", "blocks"):
            return self._full_node(relays=kind == "full")
        address, network, _ = self._caller()
        rtt = self._rtt(network)
        if kind == "light":
            return Persona(
                address, network, user_agent=_LIGHT_AGENTS[self._pick((0.6, 0.2, 0.2))], protocol=70015, services=0, rtt=rtt,
                stay=self._lognormal(4 * MINUTE, 1.2), announces_tx=False, addr_relay=False, asks_addrs=False, has_blocks=False,
                sends_headers=False, wtxid=False, addrv2=False, skew_s=int(self._rng.normal(0, 20)),
            )  # fmt: skip
        if kind == "crawler":
            return Persona(
                address, network, user_agent=_CRAWLER_AGENTS[self._pick((0.5, 0.3, 0.2))], services=NODE_WITNESS, rtt=rtt,
                stay=3 * rtt + self._lognormal(10 * SECOND, 0.7), announces_tx=False, wants_tx=False, addr_relay=False,
                has_blocks=False, sends_headers=False, wtxid=False,
            )  # fmt: skip
        if kind == "feeler":
            return Persona(address, network, user_agent=self._agent(), hello=Hello.VERSION, rtt=rtt, stay=2 * rtt + SECOND // 100)
        return Persona(address, network, hello=Hello.NONE, rtt=rtt, stay=int(self._rng.uniform(0.2, 60) * SECOND))

    def resident(self) -> Persona:
        """A full node as one meets it when one looks at connections, not at arrivals: the longer a stay, the likelier."""
        stays = self._rng.lognormal(np.log(self._model.stay_median_s), self._model.stay_sigma, 512)
        stays = np.minimum(stays, 30 * DAY / SECOND)
        stay = int(self._rng.choice(stays, p=stays / stays.sum()) * SECOND)
        return self._full_node(relays=bool(self._rng.random() < 0.8), stay=stay)  # noqa: PLR2004 - eight of ten connections

    def outbound(self, conn_type: str, stay: int) -> Persona:
        """Somebody to whom we connect, for `stay` ns; 0 for just a handshake."""
        networks, shares = zip(*_OUTBOUND_NETWORKS, strict=True)
        network = int(networks[self._pick(shares)])
        listed = int(self._rng.choice(self._of_network[network]))
        rtt = self._rtt(network)
        return Persona(
            self._pool.all.text(listed),
            network,
            conn_type,
            hello=Hello.VERSION if conn_type == FEELER else Hello.FULL,
            stay=stay or rtt + 3 * MS,
            rtt=rtt,
            skew_s=int(self._pool.skew[listed]),
            listed=listed,
            asks_addrs=False,
            **self._relaying(conn_type == FULL_RELAY),
            **_software(self._agent()),
        )

    def _full_node(self, *, relays: bool, stay: int | None = None) -> Persona:
        address, network, listed = self._caller()
        model, rng = self._model, self._rng
        return Persona(
            address,
            network,
            stay=stay or self._lognormal(int(model.stay_median_s * SECOND), model.stay_sigma),
            rtt=self._rtt(network),
            skew_s=int(self._pool.skew[listed]),
            listed=listed if rng.random() < model.announcing else -1,
            height_lag=int(rng.geometric(0.7)) - 1,
            asks_addrs=relays,
            wants_compact=bool(rng.random() < model.compact_in),
            misbehaves=bool(rng.random() < model.misbehaving),
            **self._relaying(relays),
            **_software(self._agent()),
        )

    def _relaying(self, relays: bool) -> dict[str, Any]:  # noqa: FBT001 - what it is about
        """What differs between a connection for everything and one for blocks alone."""
        return {
            "announces_tx": relays,
            "wants_tx": relays,
            "addr_relay": relays,
            "addr_rate": self._addr_rate() if relays else 0.0,
        }

    def _caller(self) -> tuple[str, int, int]:
        """Address that we see, network, and index of the address that it has in the pool."""
        networks, shares = zip(*_INBOUND_NETWORKS, strict=True)
        network = int(networks[self._pick(shares)])
        listed = int(self._rng.choice(self._of_network[network]))
        port = int(self._rng.integers(1024, 65536))
        if network == ONION:  # Tor hands connections over from this machine (Core: m_inbound_onion)
            return f"127.0.0.1:{port}", network, listed
        return self._pool.all.text(listed, 0 if network == I2P else port), network, listed

    def _rtt(self, network: int) -> int:
        return self._lognormal(SECOND // 2 if network in _HIDDEN else SECOND // 12, 0.5)

    def _addr_rate(self) -> float:
        return float(self._rng.uniform(self._model.addr_rate_low, self._model.addr_rate_high))

    def _agent(self) -> str:
        agents, shares = zip(*_AGENTS, strict=True)
        return str(agents[self._pick(shares)])

    def _pick(self, shares: tuple[float, ...]) -> int:
        return int(np.searchsorted(np.cumsum(shares), self._rng.random() * sum(shares)))

    def _lognormal(self, median: int, sigma: float) -> int:
        return min(30 * DAY, int(self._rng.lognormal(np.log(median), sigma)))
