"""Many peers together flood the node with addresses, each below Core's limit for one connection.

Since v22 a connection gets 0.1 addresses a second admitted. Honest peers stay a factor of four to twenty below that, so a hundred
connections at 0.09 a second bring several times what is normal (9 a second against 0.5 to 2.5) without any of them exceeding the
limiter. So the node as a whole is watched: the addresses that peers offered in five minutes without being asked, against what so
many peers usually offer, learned over a day. Counts vary more than a Poisson process, so the test is the tail of a negative
binomial, and the rate has to be beyond what honest peers have been seen to do, too.

Peers far over the limiter are left out: they are `addr_flood`'s. It misses a flood that grows so slowly that it is learned (over
days), and one of which this node sees little more than it usually sees. Expected false alarms: 288 windows a day at
p < 10^-6, about one in ten years, as far as the model of normal traffic holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from peerwatch.detect import limiter as core
from peerwatch.detect._api import Detector, Finding, Kind, Option, Severity, SubjectKind
from peerwatch.detect.limiter import Limiter
from peerwatch.detect.queries import rows_of_peers
from peerwatch.schema.batch import SECOND, Array, Rows
from peerwatch.schema.table import Table
from peerwatch.schema.tables.address import Address
from peerwatch.schema.tables.connection import Connection
from peerwatch.schema.tables.message import Message
from peerwatch.schema.tables.node import Node
from peerwatch.schema.tables.version import Version
from peerwatch.stats.baseline import Baseline

WINDOW_S = 300
"""Length of a window; windows start at whole multiples of it."""

SETTLE_S = 10
"""Offers are charged once in so many seconds; WINDOW_S is a multiple of it."""

USUAL_RATE = 0.015
"""Addresses a second that an honest peer offers, the middle of 0.005 to 0.025: what is normal before anything was learned."""

TRUST, MEMORY = 12, 288
"""Windows that this prior weighs as much as, and windows that are remembered: an hour and a day."""

SIZES = (5.0, 50.0)
"""Bounds of the negative binomial's size: from counts that vary by 45 % to 14 % beyond chance."""

BEYOND = 20
"""Addresses beyond the limiter in a window from which on a peer is left out: those are what `addr_flood` reports."""

CONSPICUOUS = 3
"""A peer that offers so many times the usual is named."""


class AddrFloodDistributed(Detector):
    """Addresses of all peers together, against what so many peers usually offer."""

    title: ClassVar[str] = "Address flood spread over many connections"
    catalogue: ClassVar[tuple[str, ...]] = ("A01",)
    references: ClassVar[tuple[str, ...]] = (
        "https://github.com/bitcoin/bitcoin/pull/22387 (honest rates, and the limit for one connection)",
        "Grundmann, Baumstark, Hartenstein: Estimating the Peer Degree of Reachable Peers (KIT), arXiv:2108.00815",
    )
    reads: ClassVar[Mapping[type[Table], tuple[str, ...]]] = {
        Message: core.READS_MESSAGE,
        Address: core.READS_ADDRESS,
        Connection: core.READS_CONNECTION,
        Node: core.READS_NODE,
        Version: core.READS_VERSION,
    }
    kinds: ClassVar[tuple[Kind, ...]] = (
        Kind(
            "addr_flood_distributed",
            Severity.NOTICE,
            "Peers together offer far more addresses than usual, each of them within the limit for one connection.",
            "addresses in 5 minutes",
            "Look at what the named peers have in common (netgroup, version, time of connecting); compare with other nodes.",
            normal="Honest peers offer 0.005 to 0.025 addresses a second each (bitcoin/bitcoin#22387); what is usual here is"
            " learned over a day.",
            warm_up_s=900,
            hold_s=WINDOW_S + 60,
        ),
    )
    options: ClassVar[Mapping[str, Option]] = {
        "p": Option(1e-6, "probability", "Tail below which a window is a flood.", "One false alarm in 10 years."),
        "rate": Option(0.03, "addresses/s", "Mean rate that a flood has at least.", "Above honest peers, PR 22387."),
        "peers_least": Option(8, "peers", "Peers that offered addresses, at least.", "Fewer are not many; heuristic."),
        "peers": Option(4096, "peers", "Connections watched at a time.", "Core's default is 125."),
    }

    def __init__(self, options: Mapping[str, float] | None = None) -> None:
        """Start with the prior."""
        super().__init__(options)
        self._limiter = Limiter(int(self.settings["peers"]))
        self._peers = self._limiter.peers
        self._peers.column("window", np.int64)
        self._peers.column("beyond", np.int64)
        self._baseline = Baseline(mean=USUAL_RATE * WINDOW_S, sizes=SIZES, trust=TRUST, memory=MEMORY)
        self._gone = [0, 0]
        self._window: int | None = None

    def update(self, rows: Mapping[str, Rows]) -> Iterable[Finding]:
        """Gather what peers offer."""
        self._limiter.update(rows)
        return ()

    def tick(self, second: int) -> Iterable[Finding]:
        """Count what was not asked for; at the end of a window, judge it."""
        window = second // WINDOW_S
        findings = [] if self._window in (None, window) else self._close()
        self._window = window
        if second % SETTLE_S != SETTLE_S - 1 or not self._limiter.touched:
            return findings
        spent = self._limiter.settle(second)
        peers = self._peers
        peers["window"][spent.slots] += spent.unasked
        peers["beyond"][spent.slots] += spent.refused
        slots = peers.slots()
        going = slots[peers["ending"][slots]]
        counted = peers["window"][going[peers["beyond"][going] < BEYOND]]
        self._gone[0] += int(counted.sum())
        self._gone[1] += int((counted > 0).sum())
        self._limiter.end(second)
        return findings

    def snapshot(self) -> dict[str, Any]:
        """All state, as JSON-able values."""
        return {
            "limiter": self._limiter.state(),
            "baseline": self._baseline.state(),
            "gone": list(self._gone),
            "window": self._window,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a snapshot."""
        self._limiter.restore(state["limiter"])
        self._baseline.restore(state["baseline"])
        self._gone = [int(n) for n in state["gone"]]
        self._window = state["window"]

    def _close(self) -> list[Finding]:
        """Judge and learn the window that is over, and start the next."""
        peers = self._peers
        slots = peers.slots()
        slots = slots[(peers["window"][slots] > 0) & (peers["beyond"][slots] < BEYOND)]
        counts = peers["window"][slots]
        count, exposure = int(counts.sum()) + self._gone[0], len(slots) + self._gone[1]
        findings = []
        if exposure:
            p = self._baseline.tail(count, exposure)
            usual = self._baseline.mean
            flood = (
                p < self.settings["p"]
                and exposure >= self.settings["peers_least"]
                and count > self.settings["rate"] * WINDOW_S * exposure
            )
            self._baseline.learn(count, exposure, believed=not flood)
            if flood:
                order = np.argsort(-counts, kind="stable")
                findings = [self._finding(count, exposure, usual, slots[order][counts[order] >= CONSPICUOUS * usual])]
        peers["window"][peers.slots()] = 0
        peers["beyond"][peers.slots()] = 0
        self._gone = [0, 0]
        return findings

    def _finding(self, count: int, exposure: int, usual: float, slots: Array) -> Finding:
        window = self._window or 0
        first, last = window * WINDOW_S * SECOND, (window + 1) * WINDOW_S * SECOND - 1
        high = max(usual, self.settings["rate"] * WINDOW_S) * exposure
        sessions = self._peers["session"][slots]
        session = int(sessions.max(initial=0))
        named = tuple(self._peers["key"][slots[sessions == session]][:64].tolist())
        return Finding(
            kind="addr_flood_distributed",
            subject_kind=SubjectKind.NODE,
            subject=self.node,
            first_ts=first,
            last_ts=last,
            score=count / high,
            measured=float(count),
            expected=(0.0, high),
            identifier=f"addr_flood_distributed:{self.node}",
            peers=named,
            session=session,
            query=rows_of_peers("address", self.node, named, (first, last), session) if named else "",
            facts={
                "peers_offering": float(exposure),
                "usual_for_so_many_peers": round(usual * exposure, 1),
                "peers_far_above": float(len(slots)),
            },
        )
