"""Pings, pongs and fee filters: what goes on by the clock while a connection lasts."""

from __future__ import annotations

import numpy as np

from peerwatch.schema.batch import SECOND, Array
from peerwatch.sources.simulation.events import Events, messages
from peerwatch.sources.simulation.handshake import MIN_RELAY_FEE
from peerwatch.sources.simulation.model import MS, US, Model
from peerwatch.sources.simulation.peers import Span, run_out
from peerwatch.sources.simulation.pieces import Pieces

_FILTER_STEPS = 1.1 ** np.arange(8)
"""Fee filters are rounded to steps of a tenth (Core: FEE_FILTER_SPACING)."""


class Keepalive:
    """Messages of timers. Core looks at them in a loop that takes up to 100 ms, so every period is a little longer than set."""

    def __init__(self, rng: np.random.Generator, model: Model) -> None:
        """Timers as in the model."""
        self._rng = rng
        self._model = model

    def run(self, span: Span, peers: Array) -> list[Events]:
        """What is due in `span`; moves the timers of the rows on."""
        out: list[Events] = []
        while np.any(peers["ping_in"] < span.end):
            out += self._pings(span, peers, inbound=True)
        while np.any(peers["ping_out"] < span.end):
            out += self._pings(span, peers, inbound=False)
        out += self._filters(span, peers, "fee_in", inbound=True)
        out += self._filters(span, peers, "fee_out", inbound=False)
        return out

    def _pings(self, span: Span, peers: Array, *, inbound: bool) -> list[Events]:
        timer = "ping_in" if inbound else "ping_out"
        due = np.flatnonzero(peers[timer] < span.end)
        at = peers[timer][due]
        peers[timer][due] = at + int(self._model.ping_s * SECOND) + self._rng.integers(MS, 100 * MS, len(due))
        nonces = Pieces.of_rows(self._rng.integers(0, 256, (len(due), 8), np.uint8))
        # We answer at once; the peer's answer takes a round trip.
        wait = 200 * US if inbound else (peers["rtt"][due] * self._rng.uniform(1.0, 1.15, len(due))).astype(np.int64)
        who = peers["id"][due]
        return [messages(at, who, inbound, "ping", nonces), messages(at + wait, who, not inbound, "pong", nonces)]

    def _filters(self, span: Span, peers: Array, timer: str, *, inbound: bool) -> list[Events]:
        due, at = run_out(self._rng, span, peers, timer, self._model.feefilter_s)
        changed = self._rng.random(len(due)) < self._model.feefilter_change
        sends = peers["announces_tx" if inbound else "wants_tx"][due] & changed
        due, at = due[sends], at[sends]
        fees = (MIN_RELAY_FEE * self._rng.choice(_FILTER_STEPS, len(due))).astype("<u8")
        return [messages(at, peers["id"][due], inbound, "feefilter", Pieces.of_rows(fees.reshape(-1, 1).view(np.uint8)))]
