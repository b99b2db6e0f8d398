"""Transactions come and are passed on.

Source: Bitcoin Core, net_processing.cpp (SendMessages), node/txdownloadman, txrequest. A transaction reaches each peer after a
random time; each peer, and we, announce it at the next tick of a Poisson clock; and who has been told by the other is silent. We
request it from the first to tell us, from inbound peers only after a while.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from peerwatch.schema.batch import SECOND, Array
from peerwatch.sources.simulation.clocks import Clocks
from peerwatch.sources.simulation.events import Events, messages
from peerwatch.sources.simulation.inventory import MSG_WITNESS_TX, MSG_WTX, entries, lists, runs
from peerwatch.sources.simulation.mempool import Mempool
from peerwatch.sources.simulation.model import FAR, MS, US, Model
from peerwatch.sources.simulation.peers import Span
from peerwatch.sources.simulation.pieces import Pieces, ranks
from peerwatch.sources.simulation.transactions import Mint, Transactions
from peerwatch.sources.simulation.trickle import Trickle, tell_key, told_key

_LAST_SECONDS = 5 * SECOND
"""A peer that goes tells us nothing new in its last seconds, so that what we request of it still comes."""


@dataclass(frozen=True, slots=True)
class _Fetched:
    """Our requests; of which peer (index) each transaction was requested, and when it was there (ns, FAR for never)."""

    events: list[Events]
    source: Array
    there: Array


class Relay:
    """Transactions between us and our peers."""

    def __init__(self, rng: np.random.Generator, model: Model, mint: Mint, mempool: Mempool) -> None:
        """Transactions come from `mint` and enter `mempool`."""
        self._rng = rng
        self._model = model
        self._mint = mint
        self._mempool = mempool
        self._clocks = Clocks(rng)
        self._trickle = Trickle(rng, model, self._clocks, mint.make(0))

    @property
    def recent(self) -> Pieces:
        """Bytes of the transactions of this window and the one before it."""
        return self._trickle.known.body

    def run(self, span: Span, peers: Array) -> list[Events]:
        """Messages and mempool events of transactions that appear in `span`; some lie after it."""
        self._set_clocks(span, peers)
        count = self._rng.poisson(self._model.tx_per_s * self._model.swing(span.start) * span.seconds)
        appear = np.sort(self._rng.integers(span.start, span.end, count))
        fresh = self._mint.make(count)
        told = self._when_told(appear, peers)
        fetched = self._fetch(told, peers, fresh)
        taken, entering = self._enter(fresh, fetched.there)
        there = np.where(taken, fetched.there, FAR)
        self._trickle.add(fresh, told, self._when_telling(there, peers), peers, fetched.source)
        return [*fetched.events, *entering, *self._trickle.run(span, peers)]

    def _set_clocks(self, span: Span, peers: Array) -> None:
        """A clock for each peer that tells us and each outbound peer that we tell, and one for all inbound peers of a network."""
        theirs = peers[peers["announces_tx"] & (peers["ready"] < span.end)]
        ours = peers[peers["wants_tx"] & (peers["ready"] < span.end)]
        slow, quick = self._model.inv_in_s, self._model.inv_out_s
        keys = np.concatenate([told_key(theirs), tell_key(ours)])
        # To a peer that connected to us, we are outbound.
        means = np.concatenate([np.where(theirs["inbound"], quick, slow), np.where(ours["inbound"], slow, quick)])
        keys, index = np.unique(keys, return_index=True)
        self._clocks.turn(span, keys, means[index])

    def _when_told(self, appear: Array, peers: Array) -> Array:
        """When each peer would tell us of each transaction: ns, transactions by peers, FAR for never."""
        told = np.full((len(appear), len(peers)), FAR)
        who = np.flatnonzero(peers["announces_tx"] & (peers["ready"] < FAR))
        spread = self._rng.lognormal(np.log(self._model.spread_s), self._model.spread_sigma, (len(appear), len(who)))
        knows = appear[:, None] + (spread * SECOND).astype(np.int64)
        tick = self._clocks.next(told_key(peers[who])[None, :], knows)
        goes = np.minimum(peers["closes"], peers["leaves"])[who] - 4 * peers["rtt"][who] - _LAST_SECONDS
        told[:, who] = np.where((tick < goes) & (knows >= peers["ready"][who]), tick, FAR)
        return told

    def _fetch(self, told: Array, peers: Array, fresh: Transactions) -> _Fetched:
        """Request each transaction from whom we prefer."""
        rng = self._rng
        there = np.full(len(told), FAR)
        if not told.size:
            return _Fetched([], np.zeros(len(told), np.int64), there)
        asked = told + np.where(peers["inbound"], int(self._model.inbound_delay_s * SECOND), 0)
        first = np.argmin(asked, axis=1)
        at = asked[np.arange(len(told)), first]
        order = np.lexsort((at, first))
        order = order[at[order] < FAR]
        at, who = at[order], peers[first[order]]
        begin = runs(at, who["id"])
        group = np.repeat(np.arange(len(begin)), np.diff(np.append(begin, len(order))))
        # One getdata for all that the same inv told us first; the loop that sends it takes up to 100 ms.
        sent = at + rng.integers(5 * MS, 100 * MS, len(begin))[group]
        came = sent + who["rtt"] + rng.integers(0, 5 * MS, len(begin))[group] + ranks(group) * 300 * US
        there[order] = came + rng.integers(50 * US, 250 * US, len(order))
        ids = np.where(who["wtxid"][:, None], fresh.wtxid[order], fresh.txid[order])
        rows = entries(np.where(who["wtxid"], MSG_WTX, MSG_WITNESS_TX), ids)
        asking = lists(sent, who["id"], rows, begin, (False, "getdata"))
        return _Fetched([asking, messages(came, who["id"], True, "tx", fresh.body.take(order))], first, there)

    def _enter(self, fresh: Transactions, there: Array) -> tuple[Array, list[Events]]:
        """Mask of what the mempool takes, and the events of it."""
        here = there < FAR
        refused = here & (self._rng.random(len(there)) < self._model.rejected)
        taken = here & ~refused
        accepting = self._mempool.accept(there[taken], fresh.take(taken))
        return taken, [*accepting, *self._mempool.reject(there[refused], fresh.take(refused))]

    def _when_telling(self, there: Array, peers: Array) -> Array:
        """When we would tell each peer of each transaction: ns, transactions by peers, FAR for never."""
        tell = np.full((len(there), len(peers)), FAR)
        who = np.flatnonzero(peers["wants_tx"] & (peers["ready"] < FAR))
        keys, back = np.unique(tell_key(peers[who]), return_inverse=True)
        tick = self._clocks.next(keys[None, :], np.broadcast_to(there[:, None], (len(there), len(keys))))[:, back]
        fits = (there[:, None] >= peers["ready"][who]) & (tick < peers["closes"][who])
        tell[:, who] = np.where(fits & (there[:, None] < FAR), tick, FAR)
        return tell
