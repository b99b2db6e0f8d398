"""Dissecting alone: entries and messages a second."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from bench.figures import Budget, Figure, Scale, Topic
from bench.mix import SHARES, START, Mix, raw
from bench.payloads import FULL_HEADERS, Payloads
from peerwatch.schema.batch import Array
from peerwatch.schema.table import Identity
from peerwatch.sources.simulation.events import messages
from peerwatch.sources.simulation.pieces import Pieces
from peerwatch.wire.dissect import dissect
from peerwatch.wire.keyed_hash import KEY_BYTES
from peerwatch.wire.messages.addr import MAX_ADDR_TO_SEND
from peerwatch.wire.messages.inv import MAX_INV_SZ
from peerwatch.wire.raw import RawMessages

IDENTITY = Identity("bench", START, "bench")
KEY = bytes(range(KEY_BYTES))

CHUNK = 30_000
"""Messages of the usual size that the source takes from the ring at once."""


def measure(scale: Scale) -> list[Figure]:
    """Each of some payload types by itself, and all of the mix together."""
    mix, times = Mix(), scale.of(15, 2)
    full = np.full(scale.of(100, 5), MAX_ADDR_TO_SEND)
    lists = np.minimum(np.random.default_rng(1).geometric(1 / 6, scale.of(20_000, 500)), MAX_INV_SZ)
    versions, chains = scale.of(20_000, 500), scale.of(20, 1)

    def rate(name: str, unit: str, what: RawMessages, count: int, budget: Budget | None = None) -> Figure:
        return Figure(name, unit, [count / s for s in _seconds(what, times)], budget, is_rate=True)

    def entries(name: str, kind: str, bodies: Pieces, count: int, budget: Budget | None = None) -> Figure:
        return rate(f"`{kind}`, {name}", "entries/s", _messages(kind, bodies), count, budget)

    figures = [
        entries("1000 entries each", "addr", mix.addr(full), int(full.sum()), Budget(5e6, 20e6)),
        entries("1000 entries each", "addrv2", mix.addrv2(full), int(full.sum()), Budget(1e6, 3e6)),
        entries("one of 50,000 entries", "inv", mix.inv(np.array([MAX_INV_SZ])), MAX_INV_SZ),
        entries("6 entries on average", "inv", mix.inv(lists), int(lists.sum())),
        entries("2000 each", "headers", Payloads().entries("headers", np.full(chains, FULL_HEADERS)), chains * FULL_HEADERS),
        rate("`version`", "msg/s", _messages("version", mix.bodies("version", versions)), versions),
    ]
    chunk = raw(mix.events(scale.of(CHUNK, 2000)))
    figures.append(rate(f"the mix, {len(chunk):,} at a time", "msg/s", chunk, len(chunk)))
    no_tx = raw(mix.events(scale.of(CHUNK, 2000), without=("tx",)))
    figures.append(rate("the mix without `tx`", "msg/s", no_tx, len(no_tx)))
    few = raw(mix.events(scale.of(CHUNK // 100, 100)))
    figures.append(Figure(f"{len(few)} messages of the mix", "ms", [1e3 * s for s in _seconds(few, times)]))
    return figures


def _messages(kind: str, bodies: Pieces) -> RawMessages:
    count = len(bodies)
    ts: Array = START + np.arange(count) * 1000
    return raw(messages(ts, np.arange(count) % 125, inbound=True, kind=kind, bodies=bodies))


def _seconds(messages: RawMessages, times: int) -> list[float]:
    """CPU time of dissecting messages into rows, a few times."""
    return [_timed(lambda: dissect(IDENTITY, messages, KEY)) for _ in range(times)]


def _timed(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


TOPIC = Topic(
    "Dissecting",
    f"""`dissect()` makes rows of raw messages, in one thread; CPU time of that thread. The addresses, ids and shares of the mix
({", ".join(f"{name} {share / 10:g} %" for name, share in SHARES.items())}) are like those on mainnet.""",
    measure,
)
