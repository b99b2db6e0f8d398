"""Memory and CPU of the watcher."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench import mix
from bench.figures import Budget, Figure, Scale, Topic
from bench.mix import BUSY, PEERS, START, USUAL
from bench.player import cached, mix_file
from bench.watched import Seen, watch
from peerwatch.schema.batch import SECOND
from peerwatch.sources.simulation.addresses import FULL_NODE, ipv4
from peerwatch.sources.simulation.events import Name, messages
from peerwatch.sources.simulation.pieces import vectors
from peerwatch.sources.simulation.playfile import PlayWriter
from peerwatch.wire.messages.addr import MAX_ADDR_TO_SEND

MEMORY = Budget(500.0, 250.0)
NOTHING = Budget(0, 0)

ADDRESSES = 10_000_000
ADDRESSES_A_SECOND = 1_000_000
AT_ONCE = 500
"""Messages written at once."""

SCATTER = 2_654_435_761
"""Odd, so that its multiples are different 32-bit numbers, which look like random ones."""


def measure(scale: Scale) -> list[Figure]:
    """Peaks under load and under a flood of addresses."""
    usual = watch(mix_file(USUAL * scale.of(12, 2), USUAL))
    load = watch(mix_file(scale.of(5 * BUSY, BUSY // 2)), scale.of(20, 2))
    count = scale.of(ADDRESSES, ADDRESSES // 100)
    flood = watch(cached(f"addresses-{count}.play", lambda path: _flood(path, count), __file__, mix.__file__))
    return [
        Figure(f"anonymous memory at {USUAL} msg/s", "MB", [_peak(usual)]),
        Figure(f"CPU at {USUAL} msg/s", "cores", [usual.cpu]),
        Figure(f"anonymous memory at {BUSY:,} msg/s", "MB", [_peak(load)], MEMORY),
        Figure(f"CPU at {BUSY:,} msg/s", "cores", [load.cpu]),
        Figure("rate of the player", "msg/s", [load.rate], is_rate=True),
        Figure(f"anonymous memory in a flood of {count:,} addresses", "MB", [_peak(flood)], MEMORY),
        Figure("addresses of the flood that were not recorded", "", [float(count - flood.addresses)], NOTHING),
        Figure("messages lost", "", [float(sum(s.dropped + s.missing for s in (usual, load, flood)))], NOTHING),
    ]


def _peak(seen: Seen) -> float:
    return max(seen.anonymous) / 1e6


def _flood(path: Path, count: int) -> None:
    """Full `addr` messages of all peers in turn, no address twice."""
    names = {peer: Name(f"203.0.113.{peer}:8333".encode(), b"inbound") for peer in range(PEERS)}
    gap = SECOND * MAX_ADDR_TO_SEND // ADDRESSES_A_SECOND
    with path.open("wb") as file:
        writer = PlayWriter(file, START)
        for first in range(0, count // MAX_ADDR_TO_SEND, AT_ONCE):
            nth = np.arange(first, min(first + AT_ONCE, count // MAX_ADDR_TO_SEND))
            ip = (np.arange(nth[0], nth[-1] + 1)[:, None] * MAX_ADDR_TO_SEND + np.arange(MAX_ADDR_TO_SEND)).ravel() * SCATTER
            what = ipv4((ip & 0xFFFFFFFF).astype(np.uint32), 8333, FULL_NODE)
            bodies = vectors(what.v1(np.full(len(ip), START // SECOND)), None, np.full(len(nth), MAX_ADDR_TO_SEND))
            writer.write(messages(START + nth * gap, nth % PEERS, inbound=True, kind="addr", bodies=bodies), names)


TOPIC = Topic(
    "Memory and CPU of the watcher",
    f"""`peerwatch run` with everything on, in three runs, while the player plays the mix at a usual node's rate ({USUAL}
messages a second, 20 million a day), at {BUSY:,} messages a second for 20 s, and {ADDRESSES // 1_000_000} million different
addresses in full `addr` messages, {ADDRESSES_A_SECOND // 1_000_000} million of them a second. The peak of the watcher's
anonymous memory (RssAnon; the ring is shared memory and apart) until everything is recorded, and its CPU time.""",
    measure,
    traces=True,
)
