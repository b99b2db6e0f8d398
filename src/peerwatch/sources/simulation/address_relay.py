"""What we pass on of the addresses that peers announce.

Source: Bitcoin Core, net_processing.cpp (RelayAddress, ProcessMessage for ADDR, MaybeSendAddr).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from peerwatch.schema.batch import SECOND, Array
from peerwatch.sources.simulation.addresses import Addresses, is_unroutable
from peerwatch.sources.simulation.announcements import Announcements
from peerwatch.sources.simulation.clocks import Clocks
from peerwatch.sources.simulation.inventory import runs
from peerwatch.sources.simulation.model import DAY, FAR, HOUR, MINUTE, Model
from peerwatch.sources.simulation.peers import Span

RELAY_MAX = 10
"""Core passes on the entries of messages that have at most ten."""

RELAY_AGE = 10 * MINUTE
"""Core passes on what was seen within the last ten minutes."""

_DESTINATIONS = 2
"""Peers to which an address is passed on (RelayAddress)."""

_KNOWN = 6 * HOUR
"""What was passed on is known to its destinations for about so long (Core: m_addr_known, the last 5000 addresses)."""


@dataclass(frozen=True, slots=True)
class _Queue:
    """Entries that wait to be sent: to whom, when they may go (ns), address, and when it was seen (s)."""

    peer: Array
    ready: Array
    what: Addresses
    seen: Array

    def take(self, index: Array) -> _Queue:
        return _Queue(self.peer[index], self.ready[index], self.what.take(index), self.seen[index])

    @classmethod
    def joined(cls, parts: Sequence[_Queue]) -> _Queue:
        peer, ready, seen = (np.concatenate([getattr(p, c) for p in parts]) for c in ("peer", "ready", "seen"))
        return cls(peer, ready, Addresses.joined([p.what for p in parts]), seen)


class AddressRelay:
    """Each fresh address goes to two peers, when their clocks tick."""

    def __init__(self, rng: np.random.Generator, model: Model, pool: Addresses) -> None:
        """Nothing waits."""
        self._model = model
        self._clocks = Clocks(rng)
        self._passed_on = np.full(len(pool), -FAR)
        none = np.zeros(0, np.int64)
        self._queue = _Queue(none, none, pool.take(none), none)
        self._candidates = none
        self._candidates_from = none

    def turn(self, span: Span, peers: Array) -> None:
        """Go to window `span`, with these peers."""
        takes = peers["addr_relay"] & (peers["ready"] < span.end)
        self._candidates, self._candidates_from = peers["id"][takes], peers["ready"][takes]
        self._clocks.turn(span, self._candidates, np.full(len(self._candidates), self._model.addr_flush_s))

    def pass_on(self, said: Announcements, index: Array) -> None:
        """Queue what of the entries is fresh and routable; `index` says which address of the pool each is, -1 for none."""
        at, source = said.ts[said.message], said.peer[said.message]
        fresh = (said.seen * SECOND > at - RELAY_AGE) & ~is_unroutable(said.what)
        fresh &= (index < 0) | (self._passed_on[index] < at - _KNOWN)
        if not fresh.any() or len(self._candidates) <= _DESTINATIONS:
            return
        of_pool = fresh & (index >= 0)
        self._passed_on[index[of_pool]] = at[of_pool]
        what, at, source, seen = said.what.take(fresh), at[fresh], source[fresh], said.seen[fresh]
        entry = np.repeat(np.arange(len(at)), _DESTINATIONS)
        chosen = _destinations(what, at, source, self._candidates)
        when = np.maximum(at[entry], self._candidates_from[chosen])
        self._queue = _Queue.joined([self._queue, _Queue(self._candidates[chosen], when, what.take(entry), seen[entry])])

    def flush(self, span: Span) -> Announcements:
        """What is sent in `span`."""
        queue = self._queue.take(self._queue.ready > span.start - HOUR)
        tick = self._clocks.next(queue.peer, queue.ready)
        now = tick < span.end
        # What has its tick in the next window keeps it; what has none yet, or whose peer has gone, waits.
        self._queue = replace(queue, ready=np.where(tick < FAR, tick, queue.ready)).take(~now)
        due, tick = queue.take(now), tick[now]
        order = np.lexsort((tick, due.peer))
        due, tick = due.take(order), tick[order]
        first = runs(tick, due.peer)
        count = np.minimum(np.diff(np.append(first, len(tick))), self._model.getaddr_max)
        return Announcements(tick[first], due.peer[first], count, due.what, due.seen)


def _destinations(what: Addresses, at: Array, source: Array, candidates: Array) -> Array:
    """Two of the candidates (ids) for each address, as indices: the same ones for a day, never the one it came from."""
    word = what.key[:, :16].copy().view("<u8")
    seed = _mix(word[:, 0] ^ _mix(word[:, 1]) ^ what.port ^ (at // DAY).astype(np.uint64))
    score = _mix(seed[:, None] ^ _mix(candidates.astype(np.uint64)))
    score[source[:, None] == candidates[None, :]] = 0
    return np.asarray(np.argsort(score, axis=1, kind="stable")[:, -_DESTINATIONS:].ravel())


def _mix(words: Array) -> Array:
    """Scramble 64-bit words (the finalizer of SplitMix64)."""
    x = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))
