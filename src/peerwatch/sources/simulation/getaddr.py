"""Answers to getaddr, ours and those of our outbound peers.

Source: Bitcoin Core, net_processing.cpp (ProcessMessage for GETADDR, MaybeSendAddr), net.cpp (CConnman::GetAddresses).
"""

from __future__ import annotations

import numpy as np

from peerwatch.schema.batch import SECOND, Array
from peerwatch.sources.simulation.addresses import Addresses, Pool, seen_ages
from peerwatch.sources.simulation.announcements import Announcements
from peerwatch.sources.simulation.model import MS, Model
from peerwatch.sources.simulation.peers import Span
from peerwatch.sources.simulation.personas import Hello, Persona


class Answers:
    """Who asks for addresses is told up to a thousand, and that is the only time that he is."""

    def __init__(self, rng: np.random.Generator, model: Model, pool: Pool, own: Addresses) -> None:
        """Answers are drawn from `pool`; we put ourselves, `own`, among ours."""
        self._rng = rng
        self._model = model
        self._pool = pool
        self._own = own
        self._kept, self._seen = self._some(0, 0)
        self._until = 0

    def ours(self, span: Span, peers: Array, arrived: dict[int, Persona]) -> Announcements:
        """The same addresses to everybody, for about a day, and ourselves at a random place."""
        asking = [peer for peer, who in arrived.items() if who.asks_addrs and who.hello is Hello.FULL]
        asked = np.flatnonzero(np.isin(peers["id"], asking))
        if span.start >= self._until:
            self._until = span.start + int(self._model.getaddr_cache_s * SECOND)
            most = min(self._model.getaddr_max, int(self._model.getaddr_share * len(self._pool.all)))
            self._kept, self._seen = self._some(most, span.start)
        at, size = peers["ready"][asked] + 2 * MS, len(self._kept)
        which = np.tile(np.arange(size), len(asked))
        everything = Addresses.joined([self._kept, self._own])
        seen = self._seen[which]
        place = np.arange(len(asked)) * size + self._rng.integers(0, size, len(asked))
        which[place], seen[place] = size, at // SECOND
        return Announcements(at, peers["id"][asked], np.full(len(asked), size), everything.take(which), seen)

    def theirs(self, peers: Array, arrived: dict[int, Persona]) -> Announcements:
        """What outbound full-relay peers tell us right after the handshake."""
        asked = np.flatnonzero(np.isin(peers["id"], list(arrived)) & peers["full_relay"])
        at, size = peers["ready"][asked] + peers["rtt"][asked] + MS, self._model.getaddr_max
        what, seen = self._some(size * len(asked), 0)
        return Announcements(at, peers["id"][asked], np.full(len(asked), size), what, np.repeat(at // SECOND, size) + seen)

    def _some(self, count: int, now: int) -> tuple[Addresses, Array]:
        """Addresses, and when they were last seen (s); with `now` 0, how long before now."""
        index = self._rng.integers(0, len(self._pool.all), count)
        return self._pool.all.take(index), now // SECOND - seen_ages(self._rng, count)
