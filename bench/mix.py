"""Messages with real content, in a mix like that of a listening mainnet node between blocks: what speed is measured with.

The player's own generated load has the same sizes, but patterns in place of content, which no dissector gets far with.

Shares and sizes are round figures in the likeness of a mainnet node, chosen and not measured (player/mix.c has the same).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np

from peerwatch.app.config import Config
from peerwatch.app.live import capture_limits
from peerwatch.schema.batch import SECOND, Array
from peerwatch.sources.simulation.addresses import IPV4, IPV6, Pool
from peerwatch.sources.simulation.events import INBOUND, Events, Name, messages, ordered
from peerwatch.sources.simulation.inventory import MSG_WTX, entries
from peerwatch.sources.simulation.pieces import Pieces, vectors
from peerwatch.sources.simulation.playfile import PlayWriter
from peerwatch.sources.simulation.transactions import Mint
from peerwatch.wire.raw import PAD, RawMessages, TypeNames

START = 1_764_000_000 * SECOND
"""When the mix begins, ns UTC."""

SHARES = {
    "inv": 500, "getdata": 120, "tx": 120, "addrv2": 50, "ping": 50, "pong": 50, "headers": 30, "feefilter": 20, "notfound": 20,
    "addr": 10, "sendcmpct": 27, "version": 3,
}  # fmt: skip
"""Messages of a thousand."""

USUAL, BUSY = 230, 100_000
"""Messages a second: 20 million a day, and what the ring is made for."""

PEERS = 125
"""Core's default number of connections."""

ENTRIES = 6
"""Mean of the geometric distribution of inventory lists."""

LARGE_ONE_IN, LARGE = 100, 1000
"""One in so many `addrv2` answers `getaddr`, with so many entries."""

IDS, TXS, VERSIONS = 50_000, 3000, 500
"""How many different ids, transactions and `version` messages there are. Peers announce the same transactions."""

BLOCK = 1 << 17
"""Messages made at once."""


class Mix:
    """Makes messages. The same seed gives the same ones."""

    def __init__(self, seed: int = 1) -> None:
        """Draw what messages speak of."""
        self._rng = rng = np.random.default_rng(seed)
        self._addresses = Pool(rng, IDS).all
        self._old = self._addresses.take(np.flatnonzero(np.isin(self._addresses.network, (IPV4, IPV6))))
        self._ids = rng.integers(0, 256, (IDS, 32), np.uint8)
        self._txs = Mint(rng).make(TXS).body
        self._versions = Pieces.of_bytes([self._version() for _ in range(VERSIONS)])
        self.names = {peer: Name(f"203.0.113.{peer}:8333".encode(), b"inbound") for peer in range(PEERS)}
        """What probes say of the peers."""

    def events(self, count: int, rate: float = BUSY, start: int = START, without: tuple[str, ...] = ()) -> Events:
        """Messages in order of time, so many a second from `start` (ns UTC) on; `without` leaves out types."""
        rng = self._rng
        types = [name for name in SHARES if name not in without]
        weights = np.array([SHARES[name] for name in types], float)
        kind = rng.choice(len(types), count, p=weights / weights.sum())
        ts = start + np.cumsum(rng.exponential(SECOND / rate, count)).astype(np.int64)
        peer, inbound = rng.integers(0, PEERS, count), rng.random(count) < 0.5
        parts = []
        for code, name in enumerate(types):
            at = np.flatnonzero(kind == code)
            parts.append(messages(ts[at], peer[at], inbound[at], name, self.bodies(name, len(at))))
        return ordered(Events.joined(parts))

    def bodies(self, name: str, count: int) -> Pieces:
        """Payloads of one type."""
        rng = self._rng
        made: dict[str, Callable[[], Pieces]] = {
            "tx": lambda: self._txs.take(rng.integers(0, TXS, count)),
            "version": lambda: self._versions.take(rng.integers(0, VERSIONS, count)),
            "addr": lambda: self.addr(rng.integers(1, 11, count)),
            "addrv2": lambda: self.addrv2(np.where(rng.random(count) < 1 / LARGE_ONE_IN, LARGE, rng.integers(1, 9, count))),
            "headers": lambda: Pieces.of_rows(self._row(count, b"\1" + bytes(81), slice(1, 81))),
            "sendcmpct": lambda: Pieces.of_rows(self._row(count, struct.pack("<?Q", False, 2), slice(0))),
            "feefilter": lambda: Pieces.of_rows(self._row(count, struct.pack("<Q", 0), slice(0, 3))),
            **dict.fromkeys(("ping", "pong"), lambda: Pieces.of_rows(self._row(count, bytes(8), slice(0, 8)))),
            **dict.fromkeys(
                ("inv", "getdata", "notfound"), lambda: self.inv(np.minimum(rng.geometric(1 / ENTRIES, count), LARGE))
            ),
        }
        return made[name]()

    def inv(self, counts: Array) -> Pieces:
        """`inv` and the like, with so many entries each."""
        total = int(counts.sum())
        return vectors(entries(np.full(total, MSG_WTX), self._ids[self._rng.integers(0, IDS, total)]), None, counts)

    def addr(self, counts: Array) -> Pieces:
        """`addr` messages with so many entries each."""
        which = self._rng.integers(0, len(self._old), int(counts.sum()))
        return vectors(self._old.take(which).v1(self._seen(len(which))), None, counts)

    def addrv2(self, counts: Array) -> Pieces:
        """`addrv2` messages with so many entries each."""
        which = self._rng.integers(0, IDS, int(counts.sum()))
        return vectors(*self._addresses.take(which).v2(self._seen(len(which))), counts)

    def _seen(self, count: int) -> Array:
        return START // SECOND - self._rng.integers(0, 86_400, count)

    def _row(self, count: int, fixed: bytes, random: slice) -> Array:
        rows = np.tile(np.frombuffer(fixed, np.uint8), (count, 1))
        rows[:, random] = self._rng.integers(0, 256, rows[:, random].shape, np.uint8)
        return rows

    def _version(self) -> bytes:
        agent = self._rng.choice(
            [b"/Satoshi:27.0.0/", b"/Satoshi:28.1.0/", b"/Satoshi:29.0.0/Knots:20250903/", b"/btcwire:0.5.0/"]
        )
        head = struct.pack("<iQq", 70016, 3081, START // SECOND) + bytes(52) + self._rng.bytes(8)
        return head + bytes([len(agent)]) + bytes(agent) + struct.pack("<i?", 900_000, True)


def write_play(path: Path, count: int, rate: int, without: tuple[str, ...] = ()) -> None:
    """A play file of so many messages of the mix, so many a second; without some types."""
    mix = Mix()
    with path.open("wb") as file:
        writer = PlayWriter(file, START)
        at = START
        for first in range(0, count, BLOCK):
            events = mix.events(min(BLOCK, count - first), rate, at, without)
            at = int(events.head["ts"][-1])
            writer.write(events, mix.names)


def raw(events: Events) -> RawMessages:
    """Messages as a source hands them over, cut as the tracer cuts them."""
    head, bodies, names = events.head, events.bodies.compacted(), TypeNames()
    types = head["type"].view("S16")
    distinct, of = np.unique(types, return_inverse=True)
    codes = np.array([names.code(name) for name in distinct.tolist()], np.int16)
    limits = capture_limits(Config())
    most = np.array([limits.by_type.get(name.decode(), limits.default) for name in distinct.tolist()])
    return RawMessages(
        buf=np.concatenate([bodies.buf, np.zeros(PAD, np.uint8)]),
        ts=head["ts"].astype(np.int64),
        seq=np.arange(len(head)),
        peer=head["peer"].astype(np.int64),
        inbound=head["probe"] == INBOUND,
        type=codes[of],
        size=bodies.size,
        kept=np.minimum(bodies.size, most[of]),
        start=bodies.start,
        unreadable=np.zeros(len(head), bool),
        names=names.names,
    )
