"""Who is connected when: connections come, stay, leave, are evicted, and ours are replaced.

This part goes event by event, for there are a few a minute. All others take the table of peers that it leaves for a window.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from peerwatch.schema.batch import SECOND, Array
from peerwatch.sources.simulation.addresses import CORE_NETWORK
from peerwatch.sources.simulation.events import Events, Name, probes
from peerwatch.sources.simulation.eviction import evict
from peerwatch.sources.simulation.model import DAY, FAR, HOUR, MINUTE, MS, Model
from peerwatch.sources.simulation.peers import PEER, Span, new_peer
from peerwatch.sources.simulation.personas import BLOCK_RELAY, FEELER, FULL_RELAY, Crowd, Persona

WARM_IDS = 20_000
"""Peer ids that the node gave before the simulation starts, at least."""

NO_POW = "header with invalid proof of work"
"""Why peers on another chain are let go (Core, net_processing.cpp)."""


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody connects at `at` (ns). `number` is the scenario's, -1 for normal traffic; `replaced`: see peers.PEER."""

    at: int
    persona: Persona
    number: int = -1
    replaced: bool = False


@dataclass(slots=True)
class _Agenda:
    """What is still to happen in a window, in order of time: visits, and departures of peers by id."""

    end: int
    heap: list[tuple[int, int, Visit | int]] = field(default_factory=list)
    pushed: int = 0

    def add(self, at: int, what: Visit | int) -> None:
        if at < self.end:
            heapq.heappush(self.heap, (at, self.pushed, what))
            self.pushed += 1


class Population:
    """All connections of the node.

    Attributes:
        peers: rows of `PEER`, everybody who is connected at some time in the present window, by ascending id.
        names: what the probes say of each of them.
        arrived: personas of those whose connection was opened in the present window, by id.
    """

    def __init__(self, rng: np.random.Generator, crowd: Crowd, model: Model, start: int) -> None:
        """Begin at `start` (ns) with the connections of a node that has run for weeks."""
        self._rng = rng
        self._crowd = crowd
        self._model = model
        self.peers = np.zeros(0, PEER)
        self.names: dict[int, Name] = {}
        self.arrived: dict[int, Persona] = {}
        self._next_id = 0
        self._feeler = start + self._wait(model.feeler_s)
        self._extra = start + self._wait(model.extra_block_relay_s)
        self._waiting: list[Visit] = []
        self._events: list[Events] = []
        self._warm_up(start)

    def advance(self, span: Span, visits: Iterable[Visit]) -> Events:
        """Let `span` go by, with a scenario's `visits` in it; the events of connections, not ordered."""
        gone = self.peers["closes"] < span.start
        for peer in self.peers["id"][gone].tolist():
            del self.names[peer]
        self.peers = self.peers[~gone]
        self.arrived = {}
        self._events = []
        agenda = _Agenda(span.end)
        for visit in [*self._arrivals(span), *self._outbound(span), *visits]:
            agenda.add(visit.at, visit)
        for peer, leaves in self.peers[["id", "leaves"]].tolist():
            agenda.add(max(leaves, span.start), peer)
        while agenda.heap:
            at, _, what = heapq.heappop(agenda.heap)
            if isinstance(what, Visit):
                self._open(at, what, agenda)
            else:
                self._leave(at, what, agenda)
        return Events.joined(self._events)

    def _arrivals(self, span: Span) -> list[Visit]:
        rate = self._model.arrivals_per_min * self._model.swing(span.start)
        count = self._rng.poisson(rate * span.seconds / (MINUTE / SECOND))
        return [Visit(at, self._crowd.inbound()) for at in np.sort(self._rng.integers(span.start, span.end, count)).tolist()]

    def _outbound(self, span: Span) -> list[Visit]:
        """Feelers, extra block-relay-only connections, and replacements that are due."""
        due = [v for v in self._waiting if v.at < span.end]
        self._waiting = [v for v in self._waiting if v.at >= span.end]
        while self._feeler < span.end:
            due.append(Visit(self._feeler, self._crowd.outbound(FEELER, 0)))
            self._feeler += self._wait(self._model.feeler_s)
        while self._extra < span.end:
            stay = int((1 + self._rng.random()) * self._model.extra_stay_s * SECOND)
            due.append(Visit(self._extra, self._crowd.outbound(BLOCK_RELAY, stay)))
            self._extra += self._wait(self._model.extra_block_relay_s)
        return due

    def _open(self, at: int, visit: Visit, agenda: _Agenda) -> None:
        row = new_peer(self._next_id, at, visit.persona, self._rng.random())
        row["visit"], row["replaced"] = visit.number, visit.replaced
        like = np.flatnonzero((self.peers["inbound"] == row["inbound"][0]) & (self.peers["closes"] == FAR))
        full = bool(row["inbound"][0]) and len(like) >= self._model.inbound_slots
        if full and not self._evict(at, like):
            return  # Core drops the new connection before it has an id
        peer = self._next_id
        self._next_id += 1
        self.names[peer] = Name(visit.persona.address.encode(), visit.persona.conn_type.encode())
        self.arrived[peer] = visit.persona
        self.peers = np.concatenate([self.peers, row])
        probe = "net:inbound_connection" if row["inbound"][0] else "net:outbound_connection"
        self._events.append(probes(probe, np.array([at]), {**self._who(row), "open_connections": len(like) + 1 - full}))
        agenda.add(int(row["leaves"][0]), peer)

    def _leave(self, at: int, peer: int, agenda: _Agenda) -> None:
        row = self.peers[self.peers["id"] == peer]
        if row["closes"][0] != FAR:
            return  # evicted before
        if row["misbehaves"][0]:
            self._events.append(probes("net:misbehaving_connection", np.array([at]), {"peer": peer, "reason": NO_POW.encode()}))
        self._close(at, row, at)
        if row["replaced"][0]:
            self._replace(at, row, agenda)

    def _replace(self, at: int, row: Array, agenda: _Agenda) -> None:
        """Look for another outbound peer of the same type; attempts fail, so it takes seconds."""
        kind = self.names[int(row["id"][0])].conn_type.decode()
        when = at + int((0.5 + self._rng.exponential(5)) * SECOND)
        visit = Visit(when, self._crowd.outbound(kind, self._outbound_stay()), replaced=True)
        if when < agenda.end:
            agenda.add(when, visit)
        else:
            self._waiting.append(visit)

    def _evict(self, at: int, inbound: Array) -> bool:
        index = evict(self.peers[inbound], at)
        if index is None:
            return False
        row = self.peers[inbound[index : index + 1]]
        self._events.append(probes("net:evicted_inbound_connection", np.array([at]), self._ended(row)))
        self._close(at, row, at + int(self._rng.integers(MS, 50 * MS)))
        return True

    def _close(self, at: int, row: Array, seen: int) -> None:
        """From `at` on, nothing comes from this peer; its probe fires at `seen`."""
        self.peers["closes"][self.peers["id"] == row["id"][0]] = at
        self._events.append(probes("net:closed_connection", np.array([seen]), self._ended(row)))

    def _who(self, row: Array) -> dict[str, object]:
        name = self.names[int(row["id"][0])]
        network = CORE_NETWORK[int(row["network"][0])]
        return {"peer": row["id"], "address": name.address, "conn_type": name.conn_type, "network": network}

    def _ended(self, row: Array) -> dict[str, object]:
        return {**self._who(row), "established": row["opened"] // SECOND}

    def _warm_up(self, start: int) -> None:
        model, rng = self._model, self._rng
        ours = [FULL_RELAY] * model.full_relay + [BLOCK_RELAY] * model.block_relay
        everybody = [self._crowd.outbound(kind, self._outbound_stay()) for kind in ours]
        everybody += [self._crowd.resident() for _ in range(model.warm_inbound)]
        opened = np.array([start - int(rng.random() * p.stay) for p in everybody])
        order = np.argsort(opened)
        self._next_id = max(WARM_IDS, 2 * len(everybody))
        ids = np.sort(rng.choice(self._next_id, len(everybody), replace=False))
        for peer, index in zip(ids.tolist(), order.tolist(), strict=True):
            who = everybody[index]
            row = new_peer(peer, int(opened[index]), who, rng.random())
            row["replaced"] = index < len(ours)
            self.peers = np.concatenate([self.peers, row])
            self.names[peer] = Name(who.address.encode(), who.conn_type.encode())
        p, count = self.peers, len(self.peers)
        p["ready"] = np.minimum(p["opened"] + 3 * p["rtt"], start)
        for timer, every in (("ping_in", model.ping_s), ("ping_out", model.ping_s)):
            p[timer] = start + (rng.random(count) * every * SECOND).astype(np.int64)
        for timer, every in (("fee_in", model.feefilter_s), ("fee_out", model.feefilter_s),
                             ("announce_in", model.self_announce_s), ("announce_out", model.self_announce_s)):  # fmt: skip
            p[timer] = start + (rng.exponential(every, count) * SECOND).astype(np.int64)
        saved = (start - p["opened"]) / SECOND * (model.addr_tokens_per_s - p["addr_rate"])
        p["tokens"], p["refilled"] = np.minimum(1 + saved, model.addr_bucket), start

    def _outbound_stay(self) -> int:
        """How long an outbound connection lasts, ns: hours to days (assumed)."""
        return min(int(self._rng.lognormal(np.log(6 * HOUR), 1.5)), 30 * DAY)

    def _wait(self, mean_s: float) -> int:
        return int(self._rng.exponential(mean_s) * SECOND)
