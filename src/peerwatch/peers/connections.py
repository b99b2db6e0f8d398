"""The state of all connections of one node: rows go in chunk by chunk, and out come rows about handshakes, exchanges, the relay
of transactions, and what was wrong.

What comes out depends on the order of events and their times alone, not on how they are batched. Rows that wait for the end of a
second or minute are given with the first later event; when a source has ended, `finish` gives the rest.

What is kept is bounded, and what was forgotten is counted in `forgotten`. Nobody is accused of something because it was
forgotten: what a side did not do before is judged only as long as all of it would be known.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from peerwatch.peers.blocks import Blocks
from peerwatch.peers.clock import Clock
from peerwatch.peers.exchanges import Exchanges
from peerwatch.peers.handshake import Handshakes
from peerwatch.peers.inventories import Lists
from peerwatch.peers.relay import MINUTE, Relay
from peerwatch.peers.roster import SEEN_LOST, Roster
from peerwatch.peers.stretch import Arrivals, Messages, Moments, Output, Stretch, type_codes
from peerwatch.peers.values import OwnNonces, check
from peerwatch.peers.weirds import Weirds
from peerwatch.schema.batch import SECOND, Array, Rows
from peerwatch.schema.table import Identity
from peerwatch.stats.keyed import REFUSED
from peerwatch.wire.raw import RawMessages

SOURCES = 8
"""Sources of one node whose connections are kept apart; there are fewer kinds."""

WATCHED = frozenset({"message", "connection"})
"""Tables by which a source is known to see connections."""

Tables = tuple[dict[str, pa.RecordBatch], dict[str, Array]]

Left = tuple[Identity, dict[str, pa.RecordBatch]]
"""Rows of seconds and minutes that were not over when their source ended. Their ts and seq are those of its last event."""


class Connections:
    """All connections of one node, as each of its sources sees them."""

    def __init__(self, node: str) -> None:
        """Start without any."""
        self.node = node
        self._watched: dict[str, Watched] = {}
        self._replaced: list[Left] = []

    def feed(
        self,
        identity: Identity,
        tables: Mapping[str, pa.RecordBatch],
        event_of: Mapping[str, Array],
        events: Array,
        raw: RawMessages | None,
    ) -> Tables:
        """Take the rows of one chunk.

        Args:
            identity: whose rows they are. Another session of the same source starts afresh.
            tables: its rows by table; those that it does not know are ignored.
            event_of: for each row of a table, which event it is; never decreases.
            events: times of the events in order of arrival.
            raw: what the rows of `message` were made of, for the first bytes of payloads.

        Returns:
            Rows of `weird`, `handshake`, `exchange` and `relay`, as far as there are any, and the event that each belongs to.
        """
        if not len(events):
            return {}, {}
        watched = self._watched.get(identity.source)
        if watched is None and not tables.keys() & WATCHED:
            return {}, {}  # a source that tells of the node otherwise, such as by its log, has no connections to follow
        if watched is None or watched.identity.session != identity.session:
            self._replace(identity.source)
            while len(self._watched) >= SOURCES:
                self._replace(next(iter(self._watched)))
            watched = self._watched[identity.source] = Watched(identity)
        return watched.feed(tables, event_of, events, raw)

    def end(self, identity: Identity) -> dict[str, pa.RecordBatch]:
        """Nothing more comes of one source: rows of its second and minute that were not over."""
        watched = self._watched.get(identity.source)
        if watched is None or watched.identity != identity:
            return {}
        del self._watched[identity.source]
        return watched.finish()

    def replaced(self) -> list[Left]:
        """What is left of sessions that never ended, and that others took the place of since this was last asked."""
        replaced, self._replaced = self._replaced, []
        return replaced

    def finish(self) -> list[Left]:
        """The run is over: what is left of each source. They may go on nevertheless, after a snapshot."""
        return [*self.replaced(), *((w.identity, w.finish()) for w in self._watched.values())]

    def _replace(self, source: str) -> None:
        watched = self._watched.pop(source, None)
        if watched is not None and (tables := watched.finish()):
            self._replaced.append((watched.identity, tables))

    @property
    def forgotten(self) -> dict[str, int]:
        """How much was forgotten or had no room, by what."""
        total: dict[str, int] = {}
        for watched in self._watched.values():
            for name, count in watched.forgotten().items():
                total[name] = total.get(name, 0) + count
        return total

    def snapshot(self) -> dict[str, Any]:
        """All state, as JSON-able values."""
        return {"sources": [w.state() for w in self._watched.values()]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a snapshot as if nothing had happened.

        Raises:
            KeyError, TypeError, ValueError: it is no such snapshot.
        """
        self._watched = {}
        for each in state["sources"]:
            identity = Identity(self.node, int(each["session"]), str(each["source"]))
            self._watched[identity.source] = watched = Watched(identity)
            watched.restore(each)


class Watched:
    """The connections of one node as one session of one source sees them."""

    def __init__(self, identity: Identity) -> None:
        """Start without any."""
        self.identity = identity
        self._last: Moments | None = None
        """ts and seq of the last event, one each."""
        self._resumed = False
        """Whether nothing came since a snapshot."""
        self._base = 0
        self._minute = self._second = 0
        self._pid = 0
        self._clock = Clock()
        self._begin()
        self._weirds = Weirds()

    def _begin(self) -> None:
        """A process of the node begins: its peers are others than before."""
        self._roster = roster = Roster()
        self._handshakes = Handshakes(roster)
        self._exchanges = Exchanges(roster)
        self._blocks = Blocks(roster)
        self._relay = Relay(roster)
        self._nonces = OwnNonces()

    def feed(
        self, tables: Mapping[str, pa.RecordBatch], event_of: Mapping[str, Array], events: Array, raw: RawMessages | None
    ) -> Tables:
        """As Connections.feed."""
        out = Output()
        steps = _events_where(tables, event_of, "loss", ("clock",))
        now, back = self._clock.run(events, steps)
        arrivals = Arrivals(tables, event_of, events, now, self._base)
        arrivals.raw = raw
        self._base += len(events)
        restarts = self._restarts(arrivals)
        lost = self._losses(arrivals)
        edges = {0, len(events), *back, *restarts, *lost}
        if back or int(now[0]) // MINUTE != int(now[-1]) // MINUTE:
            edges |= set((np.flatnonzero(np.diff(now // MINUTE)) + 1).tolist())
        crowded = not self._roster.room_for(_most_peers(arrivals))
        if crowded:
            edges |= set((np.flatnonzero(np.diff(now // SECOND)) + 1).tolist())
        for first, stop in pairwise(sorted(edges)):
            stretch = Stretch(arrivals, first, stop)
            if not first and self._missed(arrivals):
                self._miss(stretch)
            if first in back:
                self._set_back(stretch, out)
            self._pass_to(stretch, out)
            if first in restarts:
                self._restart(stretch, out)
            if first in lost:
                self._lose(stretch)
            if crowded:
                self._roster.admit(stretch)
            self._take(stretch, out)
        self._last = arrivals.moments(np.array([len(events) - 1]))
        return out.built(self.identity, arrivals.moments)

    def _take(self, stretch: Stretch, out: Output) -> None:
        """Take a stretch in which nothing begins anew."""
        ends = self._roster.connections(stretch)
        messages = self._messages(stretch)
        self._handshakes.take(stretch, messages, ends, self._weirds, out)
        lists = Lists(stretch, messages)
        if len(lists.strange):
            self._weirds.add("inventory_kind", stretch.arrivals.row_of(lists.strange))
        self._blocks.compact(stretch, self._weirds)
        self._blocks.take(stretch, messages, lists, ends)
        self._blocks.tell(stretch, out)
        self._relay.take(stretch, messages, lists, ends, self._weirds)
        self._exchanges.take(stretch, messages, ends, self._weirds, out)
        check(stretch, self._weirds)
        self._nonces.check(stretch, self._opened_by_us, self._weirds)
        self._weirds.close(stretch, out)

    def _messages(self, stretch: Stretch) -> Messages:
        """The messages of a stretch whose connections have room; errors of the wire are noted on the way."""
        arrivals = stretch.arrivals
        stretch.slots = np.full(stretch.stop - stretch.first, REFUSED)
        none = np.zeros(0, np.int64)
        if not arrivals.has("message"):
            return Messages(none, none, none, none, none)
        span = stretch.span("message")
        rows, ordinal = arrivals.messages(), stretch.ordinals("message")
        slot = self._roster.locate(rows["peer"][span], ordinal)
        if len(slot) == len(stretch.slots):
            stretch.slots = slot
        else:
            stretch.slots[ordinal - stretch.start] = slot
        codes, names = arrivals.types()
        messages = Messages(
            np.arange(span.start, span.stop),
            ordinal,
            slot,
            rows["inbound"][span].astype(np.int64),
            type_codes(names)[codes[span]],
        )
        if len(slot) and slot.min() == REFUSED:
            messages = messages.take(np.flatnonzero(slot != REFUSED))
        error = arrivals.tables["message"].column("error").slice(span.start, span.stop - span.start)
        if error.null_count < len(error):
            of = Rows(pa.record_batch([error], ["error"])).codes("error")
            for code, name in enumerate(of[1]):
                self._weirds.add(name, np.flatnonzero(of[0] == code) + span.start)
        return messages

    def _opened_by_us(self, peers: Array) -> Array:
        """Mask of the peers to which the node opened the connection."""
        slots = self._roster.slots_of(peers)
        return np.asarray((slots != REFUSED) & (self._roster.conn["inbound"][slots] == 0))

    def _pass_to(self, stretch: Stretch, out: Output) -> None:
        """The clock reaches a stretch: a minute may be over, and connections may have to go."""
        now = int(stretch.arrivals.now[stretch.first])
        minute, second = now // MINUTE * MINUTE, now // SECOND
        if minute != self._minute:
            self._relay.tell(self._roster.conn.slots(), self._minute, stretch.first, out)
            self._relay.drop(self._roster.leave())
            self._handshakes.prune()
            self._minute = minute
        if second != self._second:
            gone = self._roster.make_room()
            self._relay.tell(gone, self._minute, stretch.first, out)
            self._relay.drop(gone)
            self._second = second

    def _set_back(self, stretch: Stretch, out: Output) -> None:
        """The clock is set back: what waited for a later time is told, and what times it had is forgotten."""
        self._weirds.tell(stretch.first, out)
        for part in (self._exchanges, self._blocks, self._relay):
            part.forget_all()
        self._roster.lose(stretch.start)

    def _lose(self, stretch: Stretch) -> None:
        """Events before a stretch were lost, and answers may have been among them: nothing is called unanswered or unasked."""
        self._exchanges.forget_all()
        self._blocks.forget_all()
        self._relay.excuse()
        self._roster.lose(stretch.start)

    def _losses(self, arrivals: Arrivals) -> set[int]:
        """Events (indices) with which it became known that others had been lost."""
        return set(_events_where(arrivals.tables, arrivals.of, "loss", SEEN_LOST).tolist())

    def _missed(self, arrivals: Arrivals) -> bool:
        """Whether events were seen after the snapshot that this goes on from, but by a watcher that told nobody of its state."""
        resumed, self._resumed = self._resumed, False
        return resumed and self._last is not None and int(arrivals.seq(np.zeros(1, np.int64))[0]) != int(self._last[1][0]) + 1

    def _miss(self, stretch: Stretch) -> None:
        """Nothing is known of what came between the snapshot and this stretch; that watcher may have told what was held back."""
        self._lose(stretch)
        now = int(stretch.arrivals.now[stretch.first])
        self._weirds.forget_before(now // SECOND)
        if now // MINUTE * MINUTE != self._minute:
            self._relay.start_over()

    def _restarts(self, arrivals: Arrivals) -> set[int]:
        """Events (indices) at which the node's process ended, or another began."""
        if not arrivals.has("node"):
            return set()
        rows = Rows(arrivals.tables["node"])
        found = set()
        for at, event, pid in zip(arrivals.of["node"].tolist(), rows["event"].tolist(), rows["pid"].tolist(), strict=True):
            if event in ("started", "exited") or (pid and self._pid and pid != self._pid):
                found.add(at)
            self._pid = pid or self._pid
        return found

    def _restart(self, stretch: Stretch, out: Output) -> None:
        """The connections of the process before end with the first event of a stretch."""
        ordinal = stretch.arrivals.base + stretch.first
        self._handshakes.finish_all(stretch, ordinal, out)
        self._exchanges.close_all(stretch, ordinal, out)
        self._blocks.close_all(ordinal)
        self._blocks.tell(stretch, out)
        self._relay.tell(self._roster.conn.slots(), self._minute, stretch.first, out)
        self._begin()

    def finish(self) -> dict[str, pa.RecordBatch]:
        """Rows of the second and minute that were not over."""
        out = Output()
        self._weirds.finish(out)
        self._relay.tell(self._roster.conn.slots(), self._minute, 0, out)
        ts, seq = self._last or (np.zeros(1, np.int64), np.zeros(1, np.int64))
        return out.built(self.identity, lambda events: (ts[events], seq[events]))[0]

    def forgotten(self) -> dict[str, int]:
        """How much was forgotten or had no room, by what."""
        return {
            "connections": self._roster.conn.evicted + self._roster.conn.refused,
            "exchanges": self._exchanges.forgotten,
            "blocks": self._blocks.forgotten,
            "transactions": self._relay.forgotten,
        }

    def state(self) -> dict[str, Any]:
        """Everything, as JSON-able values."""
        return {
            "source": self.identity.source,
            "session": self.identity.session,
            "position": [self._base, self._minute, self._second, self._pid, self._clock.now],
            "last": [int(part[0]) for part in self._last or ()],
            **{name: part.state() for name, part in self._parts().items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state()`."""
        self._base, self._minute, self._second, self._pid, self._clock.now = state["position"]
        ts, seq = state["last"]
        self._last, self._resumed = (np.array([ts]), np.array([seq])), True
        for name, part in self._parts().items():
            part.restore(state[name])

    def _parts(self) -> dict[str, Any]:
        return {
            "roster": self._roster,
            "handshakes": self._handshakes,
            "exchanges": self._exchanges,
            "blocks": self._blocks,
            "relay": self._relay,
            "nonces": self._nonces,
            "weirds": self._weirds,
        }


def _events_where(tables: Mapping[str, pa.RecordBatch], of: Mapping[str, Array], name: str, kinds: tuple[str, ...]) -> Array:
    """Events (indices) of a table's rows with one of these kinds."""
    if name not in tables or not tables[name].num_rows:
        return np.zeros(0, np.int64)
    rows = Rows(tables[name])
    return np.asarray(of[name][np.any([rows.where("kind", kind) for kind in kinds], axis=0)])


def _most_peers(arrivals: Arrivals) -> int:
    """As many peers as a chunk can have at most."""
    count = arrivals.tables["connection"].num_rows if arrivals.has("connection") else 0
    if arrivals.has("message"):
        peers = arrivals.messages()["peer"]
        count += min(len(peers), int(peers.max()) - int(peers.min()) + 1)
    return count
