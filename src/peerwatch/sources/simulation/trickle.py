"""Announcements of transactions wait for their tick, fill an inv up to its limit, and some are followed by a request.

Source: Bitcoin Core, net_processing.cpp (SendMessages, NextInvToInbounds, ProcessGetData).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from peerwatch.schema.batch import Array
from peerwatch.sources.simulation.clocks import Clocks
from peerwatch.sources.simulation.events import Events, messages
from peerwatch.sources.simulation.inventory import MSG_TX, MSG_WITNESS_TX, MSG_WTX, entries, lists, runs
from peerwatch.sources.simulation.model import FAR, MS, US, Model
from peerwatch.sources.simulation.peers import Span
from peerwatch.sources.simulation.pieces import ranks
from peerwatch.sources.simulation.transactions import Transactions

_PER_THOUSAND = 5
"""So many entries more in one inv for each thousand that wait (Core, SendMessages)."""

_GONE = 0.003
"""Share of what is requested from us that we do not have any more. Assumed."""

_TICK_BITS = 40
"""2^40 ns are 18 minutes, more than a window."""


def told_key(peers: Array) -> Array:
    """The clock by which a peer tells us."""
    return np.asarray(2 * peers["id"])


def tell_key(peers: Array) -> Array:
    """The clock by which we tell a peer: its own when we connected to it, else that of its network."""
    return np.where(peers["inbound"], -1 - peers["network"].astype(np.int64), 2 * peers["id"] + 1)


@dataclass(frozen=True, slots=True)
class _Entries:
    """Entries of inv to be: when (ns), with whom and who tells (twice the peer's id, plus 1 when it tells us), which transaction
    (its number), and 1 when it may wait because we request it of somebody else.
    """

    tick: Array
    side: Array
    tx: Array
    later: Array

    def __len__(self) -> int:
        return len(self.tick)

    def take(self, index: Array) -> _Entries:
        return _Entries(self.tick[index], self.side[index], self.tx[index], self.later[index])

    @classmethod
    def joined(cls, parts: Sequence[_Entries]) -> _Entries:
        return cls(*(np.concatenate([getattr(p, c) for p in parts]) for c in ("tick", "side", "tx", "later")))


class Trickle:
    """The queues of announcements, ours and those of peers.

    Attributes:
        known: transactions of this window and the one before it.
    """

    def __init__(self, rng: np.random.Generator, model: Model, clocks: Clocks, none: Transactions) -> None:
        """Nothing waits; ticks come from `clocks`."""
        self._rng = rng
        self._model = model
        self._clocks = clocks
        self._queue = _Entries(*(np.zeros(0, np.int64),) * 4)
        self.known = none
        self._latest = none
        self._oldest = 0  # number of the first of `known`

    def add(self, fresh: Transactions, told: Array, tell: Array, peers: Array, source: Array) -> None:
        """Queue a window's transactions.

        Args:
            fresh: the transactions.
            told: when each peer would tell us of each, ns, transactions by peers; FAR for never.
            tell: when we would tell each peer.
            peers: the rows of these peers.
            source: index of the peer of whom we request each transaction.
        """
        self._oldest += len(self.known) - len(self._latest)
        number = self._oldest + len(self._latest)
        self.known, self._latest = Transactions.joined(self._latest, fresh), fresh
        inbound = (told < FAR) & (told <= tell)
        parts = [self._queue]
        for at, which, theirs in ((told, inbound, 1), (tell, (tell < FAR) & ~inbound, 0)):
            tx, slot = np.nonzero(which)
            later = (slot != source[tx]).astype(np.int64)
            parts.append(_Entries(at[tx, slot], 2 * peers["id"][slot] + theirs, number + tx, later))
        self._queue = _Entries.joined(parts)

    def run(self, span: Span, peers: Array) -> list[Events]:
        """The inv of `span`, and the requests and transactions that follow them."""
        due = self._within_limits(span, peers)
        theirs = due.side & 1 == 1
        return [*self._told(due.take(theirs), peers), *self._tell(due.take(~theirs), peers)]

    def _within_limits(self, span: Span, peers: Array) -> _Entries:
        """Take what is sent in `span` from the queue, all of one inv together. What does not fit waits for the next tick."""
        queue = self._queue.take(self._queue.tx >= self._oldest)
        now = queue.tick < span.end
        due, waiting = queue.take(now), [queue.take(~now)]
        due = due.take(np.isin(due.side >> 1, peers["id"]))
        fitting = []
        while len(due):
            inv = (np.searchsorted(peers["id"], due.side >> 1) * 2 + (due.side & 1) << _TICK_BITS) + due.tick - span.start
            order = np.argsort(2 * inv + due.later, kind="stable")
            due, first = due.take(order), runs(inv[order])
            count = np.diff(np.append(first, len(due)))
            limit = np.minimum(self._model.inv_target + count // 1000 * _PER_THOUSAND, self._model.inv_max)
            over = np.arange(len(due)) - np.repeat(first, count) >= np.repeat(limit, count)
            # Of a side of which something is left over, all up to that tick is settled, and the rest is looked at again.
            full, where = np.unique(due.side[over], return_index=True)
            until = np.append(due.tick[over][where], FAR)[np.searchsorted(full, due.side)]
            until[~np.isin(due.side, full)] = FAR
            settled = (due.tick < until) | ((due.tick == until) & ~over)
            fitting.append(due.take(settled))
            moved = self._postponed(due.take((due.tick == until) & over), peers)
            soon = moved.tick < span.end
            waiting.append(moved.take(~soon & (moved.tick < FAR)))
            due = _Entries.joined([due.take(due.tick > until), moved.take(soon)])
        self._queue = _Entries.joined(waiting)
        return _Entries.joined([due, *fitting])

    def _postponed(self, entries_: _Entries, peers: Array) -> _Entries:
        rows = peers[np.searchsorted(peers["id"], entries_.side >> 1)]
        keys = np.where(entries_.side & 1 == 1, told_key(rows), tell_key(rows))
        return replace(entries_, tick=self._clocks.next(keys, entries_.tick + 1))

    def _told(self, due: _Entries, peers: Array) -> list[Events]:
        slot, kind, ids = self._what(due, peers)
        return [lists(due.tick, peers["id"][slot], entries(kind, ids), runs(due.side, due.tick), (True, "inv"))]

    def _tell(self, due: _Entries, peers: Array) -> list[Events]:
        slot, kind, ids = self._what(due, peers)
        # The timer of all inbound peers runs out at once, and the loop then goes from peer to peer.
        at = due.tick + slot * 40 * US
        inv = lists(at, peers["id"][slot], entries(kind, ids), runs(due.side, due.tick), (False, "inv"))
        wanted = np.flatnonzero(self._rng.random(len(due)) < self._model.wanted)
        return [inv, *self._serve(at[wanted], peers[slot[wanted]], ids[wanted], due.tx[wanted] - self._oldest)]

    def _what(self, due: _Entries, peers: Array) -> tuple[Array, Array, Array]:
        """Of each entry: index of its peer, type and id as that peer has them."""
        slot, index = np.searchsorted(peers["id"], due.side >> 1), due.tx - self._oldest
        by_wtxid = peers["wtxid"][slot]
        ids = self.known.wtxid[index]
        ids[~by_wtxid] = self.known.txid[index[~by_wtxid]]
        return slot, np.where(by_wtxid, MSG_WTX, MSG_TX), ids

    def _serve(self, told: Array, who: Array, ids: Array, index: Array) -> list[Events]:
        """Peers request what we told them of, and get it."""
        rows = entries(np.where(who["wtxid"], MSG_WTX, MSG_WITNESS_TX), ids)
        first = runs(who["id"], told)
        group = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(told))))
        asked = told + who["rtt"] + self._rng.integers(2 * MS, 50 * MS, len(first))[group]
        given = asked + 200 * US + ranks(group) * 60 * US
        gone = self._rng.random(len(told)) < _GONE
        lost = np.flatnonzero(gone)
        return [
            lists(asked, who["id"], rows, first, (True, "getdata")),
            messages(given[~gone], who["id"][~gone], False, "tx", self.known.body.take(index[~gone])),
            lists(given[lost], who["id"][lost], rows[lost], np.arange(len(lost)), (False, "notfound")),
        ]
