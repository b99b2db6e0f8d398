"""Address gossip: what honest peers announce, what becomes of it, and how we announce ourselves.

Source: Bitcoin Core, net_processing.cpp (MaybeSendAddr).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from peerwatch.schema.batch import SECOND, Array
from peerwatch.sources.simulation.address_relay import RELAY_AGE, RELAY_MAX, AddressRelay
from peerwatch.sources.simulation.addresses import IPV4, IPV6, Addresses, Pool
from peerwatch.sources.simulation.announcements import Announcements, admit, first_of_each
from peerwatch.sources.simulation.events import Events
from peerwatch.sources.simulation.getaddr import Answers
from peerwatch.sources.simulation.model import DAY, Model
from peerwatch.sources.simulation.peers import Span, run_out
from peerwatch.sources.simulation.personas import Persona

_NOVEL_A_DAY = 0.2
"""Share of the gossiped addresses that is new each day. Assumed."""

_HOPS_AGE_S = 60
"""Age of an announcement when it arrives: two exponential delays of this mean. Assumed: a few hops at up to 30 s each."""


class Gossip:
    """All `addr` and `addrv2` messages of normal traffic, and what becomes of those of a scenario."""

    def __init__(self, rng: np.random.Generator, model: Model, pool: Pool, own: Addresses) -> None:
        """Gossip is about the addresses of `pool`; we announce ourselves as `own` (one address)."""
        self._rng = rng
        self._model = model
        self._pool = pool
        self._own = own
        self._relay = AddressRelay(rng, model, pool.all)
        self._answers = Answers(rng, model, pool, own)
        self._four = pool.of_network(IPV4)

    def run(self, span: Span, peers: Array, arrived: dict[int, Persona], offered: Sequence[Announcements]) -> list[Events]:
        """Messages of `span`. `offered` is what peers of a scenario send; it is not among what is returned."""
        self._pool.renew(int(self._rng.poisson(len(self._pool.all) * _NOVEL_A_DAY * span.seconds * SECOND / DAY)))
        self._relay.turn(span, peers)
        said, index = self._honest(span, peers)
        self._relay.pass_on(said, index)
        for foreign in offered:
            admitted = np.where(foreign.count <= RELAY_MAX, admit(self._model, peers, foreign), 0)
            let = foreign.only(first_of_each(foreign, admitted))
            self._relay.pass_on(let, np.full(len(let.what), -1))
        theirs = (said, self._answers.theirs(peers, arrived))
        ours = (self._relay.flush(span), self._announce_ourselves(span, peers), self._answers.ours(span, peers, arrived))
        out = [e for a in theirs for e in sent(a, peers, inbound=True)]
        return out + [e for a in ours for e in sent(a, peers, inbound=False)]

    def _honest(self, span: Span, peers: Array) -> tuple[Announcements, Array]:
        """What honest peers announce, and which address of the pool each entry is."""
        passing, size = self._passing_on(span, peers)
        announcing = self._announcing(span, peers)
        index = self._rng.integers(0, len(self._pool.all), int(size.sum()))
        age = np.minimum(self._rng.gamma(2.0, _HOPS_AGE_S, len(index)), RELAY_AGE / SECOND - 5)
        slot, ts = np.concatenate([passing, announcing], axis=1)
        count = np.concatenate([size, np.ones(announcing.shape[1], np.int64)])
        index = np.concatenate([index, peers["listed"][announcing[0]]])
        age = np.concatenate([age, np.zeros(announcing.shape[1])]).astype(np.int64)
        only_v1 = np.repeat(~peers["addrv2"][slot], count) & ~np.isin(self._pool.all.network[index], (IPV4, IPV6))
        index[only_v1] = self._rng.choice(self._four, np.count_nonzero(only_v1))
        seen = np.repeat(ts, count) // SECOND - age + self._pool.skew[index]
        said = Announcements(ts, peers["id"][slot], count, self._pool.all.take(index), seen)
        there = np.repeat((ts >= peers["ready"][slot]) & (ts < peers["closes"][slot]), count)
        said, index = said.only(there), index[there]
        # A peer that has more than its share just then keeps it to itself: honest traffic stays within the rate limit.
        fits = first_of_each(said, admit(self._model, peers, said))
        return said.only(fits), index[fits]

    def _passing_on(self, span: Span, peers: Array) -> tuple[Array, Array]:
        """Messages of honest peers: index of the peer and time (ns), as two rows, and size.

        A peer flushes at exponential intervals (mean m) what has come meanwhile (rate r): so messages that are not empty come at
        rate r / (1 + r m), and their sizes are geometric.
        """
        flush = self._model.addr_flush_s
        rate = np.where(peers["addr_relay"] & (peers["ready"] < span.end), peers["addr_rate"], 0.0)
        slot = np.repeat(np.arange(len(peers)), self._rng.poisson(rate / (1 + rate * flush) * span.seconds))
        at = self._rng.integers(span.start, span.end, len(slot))
        return np.stack([slot, at]), np.minimum(self._rng.geometric(1 / (1 + rate[slot] * flush)), RELAY_MAX)

    def _announcing(self, span: Span, peers: Array) -> Array:
        """Peers that announce themselves where addresses are relayed: index and time (ns), as two rows."""
        due, at = run_out(self._rng, span, peers, "announce_in", self._model.self_announce_s)
        does = (peers["listed"][due] >= 0) & peers["addr_relay"][due]
        return np.stack([due[does], at[does]])

    def _announce_ourselves(self, span: Span, peers: Array) -> Announcements:
        due, at = run_out(self._rng, span, peers, "announce_out", self._model.self_announce_s)
        takes = peers["addr_relay"][due]
        due, at = due[takes], at[takes]
        us = self._own.take(np.zeros(len(due), np.int64))
        return Announcements(at, peers["id"][due], np.ones(len(due), np.int64), us, at // SECOND)


def sent(said: Announcements, peers: Array, *, inbound: bool) -> list[Events]:
    """Announcements as messages, `addrv2` to and from the peers (rows) that take it."""
    return said.events(peers["addrv2"][np.searchsorted(peers["id"], said.peer)], inbound=inbound)
