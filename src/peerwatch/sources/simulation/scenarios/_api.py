"""What a scenario is: who visits besides normal peers, what they send, and the truth about it.

    class PingFlood(Scenario):
        '''Somebody pings all the time.'''
        title = "ping flood"
        options = {"start_s": Option(60, "s", "When it begins.", "chosen")}

        def visits(self, span): ...     # connections that open in a span of time
        def traffic(self, span, peers): # what the visitors that are there send in it
        def attacks(self): ...          # labels

The module's name, with dashes, is the scenario's. Whatever it does not override is normal traffic.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from peerwatch.detect._api import Option
from peerwatch.schema.batch import Array
from peerwatch.sources.simulation.announcements import Announcements
from peerwatch.sources.simulation.events import Events
from peerwatch.sources.simulation.model import Model
from peerwatch.sources.simulation.peers import Span
from peerwatch.sources.simulation.population import Visit


@dataclass(slots=True)
class Attack:
    """What an attack really was. `first` and `last`: ns UTC of its first and last event; `peers`: addresses by peer id."""

    kind: str
    catalogue: tuple[str, ...]
    first: int
    last: int
    peers: dict[int, str] = field(default_factory=dict)


class Scenario(ABC):
    """Base of all scenarios; by itself nothing but normal traffic."""

    name: ClassVar[str]
    """Set from the module's name."""
    title: ClassVar[str]
    """What happens, in a few words."""
    options: ClassVar[Mapping[str, Option]] = {}

    def __init__(self, options: Mapping[str, float] | None = None) -> None:
        """Start with defaults, or with `options` over them.

        Raises:
            ValueError: an option that the scenario does not have.
        """
        given = dict(options or {})
        if unknown := given.keys() - self.options.keys():
            has = f"it has {', '.join(self.options)}" if self.options else "it has none"
            raise ValueError(f"scenario {self.name} has no option {', '.join(sorted(unknown))}; {has}")
        self.settings = {name: float(given.get(name, option.default)) for name, option in self.options.items()}

    def __init_subclass__(cls) -> None:
        """Name the scenario after its module."""
        super().__init_subclass__()
        cls.name = cls.__module__.rsplit(".", 1)[-1].replace("_", "-")

    def begin(self, rng: np.random.Generator, start: int) -> None:
        """The simulation begins at `start` (ns UTC); all randomness is to come from `rng`."""
        self.rng = rng
        self.start = start

    def model(self, normal: Model) -> Model:
        """Figures of normal traffic, where the scenario changes them."""
        return normal

    def visits(self, span: Span) -> Sequence[Visit]:  # noqa: ARG002 - for overriding
        """Connections that open in `span`, numbered by the scenario as it likes, from 0."""
        return ()

    def announcements(self, span: Span, peers: Array) -> Sequence[Announcements]:  # noqa: ARG002 - for overriding
        """Addresses that visitors gossip in `span`; `peers` are the rows (peers.PEER) of those who are connected in it.

        The node passes on what its limits let through.
        """
        return ()

    def traffic(self, span: Span, peers: Array) -> Sequence[Events]:  # noqa: ARG002 - for overriding
        """All else that visitors send in `span`, and what the node does because of it."""
        return ()

    def attacks(self) -> Sequence[Attack]:
        """The truth, as far as the simulation has come."""
        return ()
