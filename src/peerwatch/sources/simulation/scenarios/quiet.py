"""Nothing but normal traffic: what detectors must be quiet on."""

from __future__ import annotations

from peerwatch.sources.simulation.scenarios._api import Scenario


class Quiet(Scenario):
    """A node on an ordinary day."""

    title = "normal traffic and nothing else"
