"""A simulation: a scenario on top of normal traffic, as one stream of events.

Events are made in windows of simulated time that are always the same (model.WINDOW), so they do not depend on how they are taken.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field

import numpy as np

from peerwatch.schema.batch import Array
from peerwatch.sources.simulation.addresses import FULL_NODE, NODE_P2P_V2, Pool, ipv4
from peerwatch.sources.simulation.blocks import Blocks
from peerwatch.sources.simulation.chain import Chain
from peerwatch.sources.simulation.events import Events, Window, compacted, ordered
from peerwatch.sources.simulation.gossip import Gossip, sent
from peerwatch.sources.simulation.handshake import Handshake, Own
from peerwatch.sources.simulation.keepalive import Keepalive
from peerwatch.sources.simulation.mempool import Mempool
from peerwatch.sources.simulation.model import WINDOW, Model
from peerwatch.sources.simulation.peers import Span
from peerwatch.sources.simulation.personas import Crowd
from peerwatch.sources.simulation.population import Population
from peerwatch.sources.simulation.relay import Relay
from peerwatch.sources.simulation.scenarios._api import Attack, Scenario
from peerwatch.sources.simulation.scenarios.catalogue import scenario_named
from peerwatch.sources.simulation.transactions import Mint


@dataclass(frozen=True, slots=True)
class Plan:
    """What to simulate. `start` is ns UTC, `duration` ns; `load` as in Model.loaded, `options` the scenario's."""

    scenario: str
    seed: int
    start: int
    duration: int
    load: float = 1.0
    options: Mapping[str, float] = field(default_factory=dict)


class Simulation:
    """One run of a plan. Iterate over it, once, for its windows in order."""

    def __init__(self, plan: Plan, scenario: type[Scenario] | None = None) -> None:
        """Set up a node that has run for weeks. A `scenario` that is given takes the place of the named one.

        Raises:
            ValueError: an unknown scenario or option, or a duration or load that is not positive.
        """
        if plan.duration <= 0:
            raise ValueError("duration must be positive")
        self.plan = plan
        self.scenario = (scenario or scenario_named(plan.scenario))(plan.options)
        model = self.scenario.model(Model().loaded(plan.load))
        before = plan.start - WINDOW
        # One generator a part, so that one part's appetite for randomness does not change the others.
        rngs = iter([np.random.default_rng([plan.seed, n]) for n in range(12)])
        pool = Pool(next(rngs), model.addresses)
        own = _own(next(rngs))
        chain = Chain(next(rngs), before)
        mint = Mint(next(rngs))
        mempool = Mempool(next(rngs), model, mint, before)
        self._population = Population(next(rngs), Crowd(next(rngs), pool, model), model, before)
        self._handshake = Handshake(next(rngs), model, chain, own)
        self._keepalive = Keepalive(next(rngs), model)
        self._gossip = Gossip(next(rngs), model, pool, ipv4(_ip(own), own.port, FULL_NODE | NODE_P2P_V2))
        self._relay = Relay(next(rngs), model, mint, mempool)
        self._blocks = Blocks(next(rngs), model, chain, mempool, before)
        self.scenario.begin(np.random.default_rng([plan.seed, 100]), plan.start)
        self._later = Events.joined([])
        # What is under way at the start (transactions on their way, timers) comes out of a window that nobody sees.
        self._window(Span(before, plan.start), Scenario())

    def __iter__(self) -> Generator[Window]:
        """All windows, the last one cut at the end of the plan."""
        end = self.plan.start + self.plan.duration
        for at in range(self.plan.start, end, WINDOW):
            span = Span(at, at + WINDOW)
            window = self._window(span, self.scenario)
            yield window if span.end <= end else window.split(end)[0]

    def attacks(self) -> list[Attack]:
        """The truth about what has been simulated so far."""
        return list(self.scenario.attacks())

    def _window(self, span: Span, scenario: Scenario) -> Window:
        population = self._population
        # A scenario stays within the plan, so that its labels do; normal traffic is made in whole windows and cut.
        own = Span(span.start, max(span.start, min(span.end, self.plan.start + self.plan.duration)))
        opened = population.advance(span, scenario.visits(own))
        peers = population.peers
        parts = [self._later, opened, *self._handshake.run(peers, population.arrived)]
        said = scenario.announcements(own, peers)
        parts += [e for a in said for e in sent(a, peers, inbound=True)]
        parts += self._gossip.run(span, peers, population.arrived, said)
        parts += self._keepalive.run(span, peers)
        parts += self._relay.run(span, peers)
        parts += self._blocks.run(span, peers, self._relay.recent)
        parts += scenario.traffic(own, peers)
        everything = Events.joined(parts)
        everything = everything.take(_possible(everything, peers))
        now = everything.head["ts"] < span.end
        self._later = compacted(everything.take(~now))
        return Window(ordered(everything.take(now)), span.end, dict(population.names))


def _possible(events: Events, peers: Array) -> Array:
    """Mask of what is no message, or one of a peer that is still connected then."""
    slot = np.minimum(np.searchsorted(peers["id"], events.head["peer"]), len(peers) - 1)
    known = peers["id"][slot] == events.head["peer"]
    there = known & (events.head["ts"].astype(np.int64) < peers["closes"][slot])
    return np.asarray(~events.messages() | there)


def _own(rng: np.random.Generator) -> Own:
    """An address for our node, out of a block that no hoster has and nobody else gets in a simulation."""
    return Own(bytes([25, *rng.integers(1, 255, 3).tolist()]))


def _ip(own: Own) -> Array:
    return np.frombuffer(own.ip, ">u4").astype(np.uint32)
