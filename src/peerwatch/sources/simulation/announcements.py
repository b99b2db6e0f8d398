"""Messages that announce addresses, many at once, as `addr` or `addrv2`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from peerwatch.schema.batch import SECOND, Array
from peerwatch.sources.simulation.addresses import IPV4, IPV6, Addresses
from peerwatch.sources.simulation.events import Events, messages
from peerwatch.sources.simulation.model import Model
from peerwatch.sources.simulation.pieces import ranks, starts, vectors


@dataclass(frozen=True, slots=True)
class Announcements:
    """Messages: `ts` (ns), `peer` and `count` of entries (at least one), one each a message; and all entries one after the other:
    `what` and `seen` (s), as many as the counts add up to.
    """

    ts: Array
    peer: Array
    count: Array
    what: Addresses
    seen: Array

    def __len__(self) -> int:
        """Number of messages."""
        return len(self.ts)

    @property
    def message(self) -> Array:
        """For each entry, the message that it is in."""
        return np.repeat(np.arange(len(self)), self.count)

    def only(self, keep: Array) -> Announcements:
        """The entries of mask `keep`, and the messages of which something is left."""
        count = np.bincount(self.message[keep], minlength=len(self))
        left = count > 0
        return Announcements(self.ts[left], self.peer[left], count[left], self.what.take(keep), self.seen[keep])

    def of(self, chosen: Array) -> Announcements:
        """The messages of mask `chosen`."""
        return self.only(np.repeat(chosen, self.count))

    def events(self, v2: Array, *, inbound: bool) -> list[Events]:
        """As messages: `addrv2` where the mask `v2` says so, else `addr`, which leaves out what it cannot carry."""
        new, old = self.of(v2), self.of(~v2)
        old = old.only((old.what.network == IPV4) | (old.what.network == IPV6))
        out = []
        if len(new):
            out.append(messages(new.ts, new.peer, inbound, "addrv2", vectors(*new.what.v2(new.seen), new.count)))
        if len(old):
            out.append(messages(old.ts, old.peer, inbound, "addr", vectors(old.what.v1(old.seen), None, old.count)))
        return out


def admit(model: Model, peers: Array, said: Announcements) -> Array:
    """How many entries of each message the node's rate limit lets through; takes them from the buckets of the rows `peers`.

    Source: Bitcoin Core #22387 (ProcessMessage for ADDR). Message by message of a peer, all peers at once.
    """
    slot = np.searchsorted(peers["id"], said.peer)
    order = np.lexsort((said.ts, slot))
    nth = ranks(slot[order])
    admitted = np.zeros(len(said), np.int64)
    for round_ in range(int(nth.max(initial=-1)) + 1):
        which = order[nth == round_]
        who = slot[which]
        passed = np.maximum(said.ts[which] - peers["refilled"][who], 0) / SECOND
        tokens = np.minimum(peers["tokens"][who] + passed * model.addr_tokens_per_s, model.addr_bucket)
        admitted[which] = np.minimum(said.count[which], tokens.astype(np.int64))
        peers["tokens"][who] = tokens - admitted[which]
        peers["refilled"][who] = said.ts[which]
    return admitted


def first_of_each(said: Announcements, admitted: Array) -> Array:
    """Mask of the entries that are among the first `admitted` of their message."""
    position = np.arange(int(said.count.sum())) - np.repeat(starts(said.count), said.count)
    return np.asarray(position < np.repeat(admitted, said.count))
