"""The address flood of July and August 2021.

Peers connected to many nodes and sent each some 500 `addr` messages of ten addresses: uniform over all of IPv4, reserved blocks
included, and seen up to nine minutes in the future, so that nodes passed them on for as long as possible. The first messages were
a little shorter. Nodes since v22 limit the rate at which they process addresses, and pass on little of such a flood.

References: Grundmann, Baumstark and Hartenstein, arXiv 2108.00815; Bitcoin Core #22387; Bitcoin Explained, episode 49; the
log in bitcointalk "Loads of fake peers advertised on bitcoin network" (12 July 2021) for the sizes `8 9 9 10 10 10 …`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from peerwatch.detect._api import Option
from peerwatch.schema.batch import SECOND, Array
from peerwatch.sources.simulation.addresses import FULL_NODE, IPV4, ipv4, is_special
from peerwatch.sources.simulation.announcements import Announcements
from peerwatch.sources.simulation.peers import Span
from peerwatch.sources.simulation.personas import Persona
from peerwatch.sources.simulation.population import Visit
from peerwatch.sources.simulation.scenarios._api import Attack, Scenario

_FIRST_SIZES = (8, 9, 9)
_SIZE = 10
_FUTURE_S = 9 * 60
_JITTER = 0.2
"""Share of the interval by which a message comes sooner or later; sending was regular."""
_ARRIVING_S = 5
_MOST = 2000
"""Messages a second of all flooders together, of which a window still fits into memory."""


class AddrFlood2021(Scenario):
    """Several peers flood the node with made-up addresses."""

    title = "the addr flood of 2021: many made-up addresses from a few inbound peers"
    options = {  # noqa: RUF012 - a declaration, never changed
        "start_s": Option(600, "s", "When the first flooder connects.", "long enough to see normal traffic before"),
        "duration_s": Option(500, "s", "How long each floods.", "500 messages at one a second (arXiv 2108.00815)"),
        "peers": Option(5, "peers", "Flooders, each with an address of its own.", "enough to tell peers from node"),
        "rate": Option(1, "messages/s", "Messages of each flooder.", "the incident's order of magnitude"),
    }

    def __init__(self, options: Mapping[str, float] | None = None) -> None:
        """Start with defaults, or with `options` over them.

        Raises:
            ValueError: an option that the scenario does not have, or a value that makes no flood or more than memory holds.
        """
        super().__init__(options)
        for name, value in self.settings.items():
            if value < 0 or (value == 0 and name != "start_s"):
                raise ValueError(f"option {name} of scenario {self.name} must be positive, not {value:g}")
        if self.settings["peers"] * self.settings["rate"] > _MOST:
            raise ValueError(f"scenario {self.name} makes at most {_MOST} messages a second; play it faster for more")

    def begin(self, rng: np.random.Generator, start: int) -> None:
        """Choose the flooders and when each connects."""
        super().begin(rng, start)
        count = int(self.settings["peers"])
        first = start + int(self.settings["start_s"] * SECOND)
        self._came = np.sort(first + (rng.random(count) * _ARRIVING_S * SECOND).astype(np.int64))
        self._who = [self._persona(str(text)) for text in self._addresses(count)]
        self._attack = Attack("addr_flood", ("A01", "A02", "A04", "A05"), 0, 0)

    def visits(self, span: Span) -> Sequence[Visit]:
        """The flooders connect within the first seconds."""
        due = np.flatnonzero(span.has(self._came)).tolist()
        return [Visit(int(self._came[n]), self._who[n], number=n) for n in due]

    def announcements(self, span: Span, peers: Array) -> Sequence[Announcements]:
        """The flood."""
        at, peer, nth = [], [], []
        for row in peers[(peers["visit"] >= 0) & (peers["ready"] < span.end)]:
            times = self._times(int(row["visit"]), int(row["ready"]))
            which = np.flatnonzero(span.has(times) & (times < row["closes"]))
            at.append(times[which])
            peer.append(np.full(len(which), row["id"]))
            nth.append(which)
            if len(which):
                self._label(int(row["id"]), self._who[int(row["visit"])].address, times[which])
        if not at:
            return ()
        order = np.argsort(ts := np.concatenate(at), kind="stable")
        count = np.array([*_FIRST_SIZES, _SIZE])[np.minimum(np.concatenate(nth), len(_FIRST_SIZES))]
        return (self._messages(ts[order], np.concatenate(peer)[order], count[order]),)

    def attacks(self) -> Sequence[Attack]:
        """One attack, of the peers that flooded."""
        return (self._attack,) if self._attack.peers else ()

    def _messages(self, ts: Array, peer: Array, count: Array) -> Announcements:
        entries = int(count.sum())
        ip = self.rng.integers(0, 1 << 32, entries, dtype=np.uint32)
        seen = np.repeat(ts, count) // SECOND + self.rng.integers(0, _FUTURE_S + 1, entries)
        return Announcements(ts, peer, count, ipv4(ip, 8333, FULL_NODE), seen)

    def _times(self, number: int, ready: int) -> Array:
        """When flooder `number` sends, ns: the same whenever it is asked for."""
        rng = np.random.default_rng([number, ready])
        step = SECOND / self.settings["rate"]
        count = int(self.settings["duration_s"] * self.settings["rate"])
        times = ready + (np.arange(count) + 0.5 + rng.uniform(-_JITTER, _JITTER, count)) * step
        return np.sort(times).astype(np.int64)

    def _label(self, peer: int, address: str, times: Array) -> None:
        attack = self._attack
        attack.first = min(int(times[0]), attack.first) if attack.peers else int(times[0])
        attack.last = max(int(times[-1]), attack.last)
        attack.peers[peer] = address

    def _addresses(self, count: int) -> list[str]:
        """Addresses of the flooders, each in a /16 of its own."""
        found: dict[int, int] = {}
        while len(found) < count:
            ip = self.rng.integers(1 << 24, 224 << 24, 1, dtype=np.uint32)
            if not is_special(ip)[0]:
                found.setdefault(int(ip[0]) >> 16, int(ip[0]))
        some = ipv4(np.array(list(found.values()), np.uint32), 0, 0)
        return [some.text(n, int(self.rng.integers(1024, 65536))) for n in range(count)]

    def _persona(self, address: str) -> Persona:
        """It behaves like a node of the time as far as it must, takes transactions and gives none."""
        stay = int((self.settings["duration_s"] + 2) * SECOND)
        return Persona(
            address, IPV4, user_agent="/Satoshi:0.21.1/", services=FULL_NODE, stay=stay, announces_tx=False, asks_addrs=False,
            has_blocks=False, sends_headers=False, wtxid=False, addrv2=False,
        )  # fmt: skip
