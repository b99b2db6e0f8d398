"""The figures of the model of normal traffic, each with its source.

Timers and limits are Bitcoin Core's own. What Core does not decide (who connects, for how long, how many transactions there
are) is measured where somebody published a measurement, and otherwise a round figure of the right size, marked `assumed`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Annotated, get_args, get_type_hints

from peerwatch.schema.batch import SECOND

US = 1000
MS = 1000 * US
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

WINDOW = MINUTE
"""Simulated time generated at once. Part of what a seed means: another value gives another, equally valid simulation."""

FAR = 1 << 62
"""A time (ns) that never comes."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What a figure means, its unit, and where it comes from."""

    unit: str
    doc: str
    source: str


def _core(constant: str, unit: str, doc: str) -> Figure:
    return Figure(unit, doc, f"Core: {constant}")


def _assumed(unit: str, doc: str, basis: str) -> Figure:
    return Figure(unit, doc, f"assumed: {basis}")


@dataclass(frozen=True)
class Model:
    """All figures; a scenario may replace some. Times in seconds unless the unit says otherwise."""

    full_relay: Annotated[
        int, _core("MAX_OUTBOUND_FULL_RELAY_CONNECTIONS", "connections", "Outbound full-relay connections.")
    ] = 8
    block_relay: Annotated[
        int, _core("MAX_BLOCK_RELAY_ONLY_CONNECTIONS", "connections", "Outbound block-relay-only connections.")
    ] = 2
    inbound_slots: Annotated[
        int, _core("DEFAULT_MAX_PEER_CONNECTIONS 125 less 8 + 2 + 1 feeler", "connections", "Inbound connections at most.")
    ] = 114
    feeler_s: Annotated[float, _core("FEELER_INTERVAL", "s", "Mean time between feelers.")] = 120.0
    extra_block_relay_s: Annotated[
        float, _core("EXTRA_BLOCK_RELAY_ONLY_PEER_INTERVAL", "s", "Mean time between extra block-relay-only connections.")
    ] = 300.0
    extra_stay_s: Annotated[
        float,
        _core("EXTRA_PEER_CHECK_INTERVAL", "s", "Time between looks at whether an extra peer goes."),
    ] = 45.0
    ping_s: Annotated[float, _core("PING_INTERVAL", "s", "Time between pings, both ways.")] = 120.0
    inv_in_s: Annotated[
        float, _core("INBOUND_INVENTORY_BROADCAST_INTERVAL", "s", "Mean time between inv to inbound peers; one timer a network.")
    ] = 5.0
    inv_out_s: Annotated[
        float, _core("OUTBOUND_INVENTORY_BROADCAST_INTERVAL", "s", "Mean time between inv to an outbound peer.")
    ] = 2.0
    inv_target: Annotated[
        int,
        _core("INVENTORY_BROADCAST_TARGET", "entries", "Transactions in one inv, and 5 more for each 1000 that wait."),
    ] = 35
    inv_max: Annotated[int, _core("INVENTORY_BROADCAST_MAX", "entries", "Transactions in one inv at most.")] = 1000
    inbound_delay_s: Annotated[
        float, _core("NONPREF_PEER_TX_DELAY", "s", "Wait before a transaction is requested from an inbound peer.")
    ] = 2.0
    feefilter_s: Annotated[
        float, _core("AVG_FEEFILTER_BROADCAST_INTERVAL", "s", "Mean time between looks at the fee filter.")
    ] = 600.0
    feefilter_change: Annotated[
        float, _assumed("share", "Looks that find another value, which then is sent.", "Core rounds at random to steps of 10 %")
    ] = 0.4
    addr_flush_s: Annotated[float, _core("AVG_ADDRESS_BROADCAST_INTERVAL", "s", "Mean time between addr to a peer.")] = 30.0
    self_announce_s: Annotated[
        float, _core("AVG_LOCAL_ADDRESS_BROADCAST_INTERVAL", "s", "Mean time between self-announcements to a peer.")
    ] = 86400.0
    addr_tokens_per_s: Annotated[
        float, _core("MAX_ADDR_RATE_PER_SECOND", "1/s", "Addresses of a peer that are processed, on average.")
    ] = 0.1
    addr_bucket: Annotated[int, _core("MAX_ADDR_PROCESSING_TOKEN_BUCKET", "addresses", "Most that may be saved up.")] = 1000
    getaddr_max: Annotated[int, _core("MAX_ADDR_TO_SEND", "addresses", "Addresses in an answer to getaddr at most.")] = 1000
    getaddr_share: Annotated[
        float, _core("MAX_PCT_ADDR_TO_SEND", "share", "Share of addrman that an answer to getaddr may give away.")
    ] = 0.23
    getaddr_cache_s: Annotated[
        float, _core("CConnman::GetAddresses: 21 h and up to 6 h", "s", "Age at which the cached answer to getaddr is renewed.")
    ] = 86400.0
    block_s: Annotated[float, _core("nPowTargetSpacing", "s", "Mean time between blocks (exponential).")] = 600.0
    block_vsize: Annotated[int, _core("MAX_BLOCK_WEIGHT / 4", "vB", "Size of a full block.")] = 1_000_000

    arrivals_per_min: Annotated[
        float, Figure("1/min", "New inbound connections.", "b10c, observations/05 (2022): about 3 a minute before the flood")
    ] = 3.0
    addr_rate_low: Annotated[
        float, Figure("1/s", "Least that an honest peer gossips.", "Core #22387: 430 to 2160 addresses a day")
    ] = 0.005
    addr_rate_high: Annotated[
        float, Figure("1/s", "Most that an honest peer gossips.", "Core #22387: 430 to 2160 addresses a day")
    ] = 0.025
    addresses: Annotated[
        int, Figure("addresses", "Addresses in gossip.", "KIT (arXiv 2108.00815): 40 000 to 65 000 distinct a day")
    ] = 60_000
    announcing: Annotated[float, Figure("share", "Unreachable peers that announce themselves.", "KIT PAL (FC'22): 76 % do")] = (
        0.76
    )

    tx_per_s: Annotated[float, _assumed("1/s", "New transactions.", "mainnet 2023 to 2025: 300 000 to 600 000 a day")] = 5.0
    spread_s: Annotated[
        float, _assumed("s", "Median time for a transaction to reach a peer.", "lognormal, Mödinger et al., PLoS ONE 2020")
    ] = 3.0
    spread_sigma: Annotated[float, _assumed("1", "Spread of the logarithm of that time.", "as above")] = 0.8
    wanted: Annotated[
        float, _assumed("share", "Announcements of ours that are requested.", "each node gets each transaction from one peer")
    ] = 0.05
    rejected: Annotated[float, _assumed("share", "Transactions that the mempool refuses.", "a few per cent")] = 0.03
    replacing: Annotated[float, _assumed("share", "Transactions that replace another (BIP 125).", "a few per cent")] = 0.04
    mempool: Annotated[int, _assumed("transactions", "In the mempool at the start.", "a quiet mempool")] = 12_000
    mempool_max: Annotated[int, _assumed("transactions", "Beyond it the cheapest go.", "-maxmempool 300 MB")] = 120_000
    compact_in: Annotated[
        float, _assumed("share", "Inbound peers that want blocks compact at once.", "three of ten choose us")
    ] = 0.15
    missing_tx: Annotated[
        float, _assumed("share", "Compact blocks for which something is missing.", "a few to 50 %, by policy")
    ] = 0.3
    coin_share: Annotated[
        float,
        _assumed("share", "UTXO-cache events that are generated.", "all would be a fifth of all events, and say nothing more"),
    ] = 0.1
    day_night: Annotated[float, _assumed("share", "Swing of arrivals and transactions over a day.", "highest at 15 h UTC")] = 0.25
    warm_inbound: Annotated[
        int, _assumed("connections", "Inbound connections at the start.", "the level of a node that has run for weeks")
    ] = 95
    stay_median_s: Annotated[
        float, _assumed("s", "Median stay of a full node that connects to us.", "lognormal; the mean is 54 minutes")
    ] = 440.0
    stay_sigma: Annotated[float, _assumed("1", "Spread of the logarithm of that stay.", "minutes to weeks")] = 2.0
    misbehaving: Annotated[float, _assumed("share", "Inbound full nodes on another chain.", "a few a day")] = 0.001

    def loaded(self, load: float) -> Model:
        """A node with `load` times as many inbound slots, peers and arrivals; every limit of one connection stays.

        Raises:
            ValueError: a load that is not positive.
        """
        if not load > 0:
            raise ValueError(f"load must be positive, not {load:g}")
        return replace(
            self,
            inbound_slots=max(1, round(self.inbound_slots * load)),
            warm_inbound=round(self.warm_inbound * load),
            arrivals_per_min=self.arrivals_per_min * load,
        )

    def swing(self, at_ns: int) -> float:
        """How much of the average there is at that time of day (UTC)."""
        hour = (at_ns % DAY) / HOUR
        return 1.0 + self.day_night * math.cos((hour - 15.0) / 24.0 * 2 * math.pi)


def figures() -> dict[str, tuple[float, Figure]]:
    """Every figure by name, with its default."""
    hints = get_type_hints(Model, include_extras=True)
    return {f.name: (f.default, get_args(hints[f.name])[1]) for f in fields(Model)}  # type: ignore[misc]
