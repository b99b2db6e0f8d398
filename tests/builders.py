"""Small builders of batches for tests: events are added in order of arrival, and come out as rows of tables in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from peerwatch.detect._api import Detector
from peerwatch.detect.runner import Detected, Runner
from peerwatch.schema.batch import SECOND, Array, Batch, Rows
from peerwatch.schema.registry import all_tables
from peerwatch.schema.table import Identity

START = 1_626_000_000
"""Second at which test streams begin: 11 July 2021."""

IDENTITY = Identity("alice", START * SECOND, "simulation")


def at(seconds: float) -> int:
    """Time (ns) so many seconds after the start."""
    return START * SECOND + round(seconds * SECOND)


def mapped(ipv4: Sequence[str] | Array) -> Array:
    """IPv4 addresses (dotted, or uint32) in their mapped form: uint8, shape (n, 16)."""
    numbers = (
        np.array([int.from_bytes(bytes(map(int, a.split("."))), "big") for a in ipv4], np.uint32)
        if len(ipv4) and isinstance(ipv4[0], str)
        else np.asarray(ipv4, np.uint32)
    )
    out = np.zeros((len(numbers), 16), np.uint8)
    out[:, 10:12] = 255
    out[:, 12:] = numbers.astype(">u4").view(np.uint8).reshape(-1, 4)
    return out


def honest_addresses(rng: np.random.Generator, n: int) -> Array:
    """Addresses as honest gossip has them: in some /8s only, none of them special."""
    first = rng.choice([5, 23, 31, 46, 62, 78, 82, 88, 91, 95, 109, 116, 135, 138, 144, 176, 178, 188, 195, 213], n)
    return mapped((first.astype(np.uint32) << 24) | rng.integers(0, 1 << 24, n, dtype=np.uint32))


def uniform_addresses(rng: np.random.Generator, n: int) -> Array:
    """Addresses drawn uniformly from all of IPv4, as the flood of 2021 had them."""
    return mapped(rng.integers(0, 1 << 32, n, dtype=np.uint32))


class Stream:
    """Events of one node in order of arrival."""

    def __init__(self, identity: Identity = IDENTITY) -> None:
        """Start without events."""
        self.identity = identity
        self.events: list[int] = []
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self._event_of: dict[str, list[int]] = {}

    def add(self, ts: int, **tables: dict[str, Any] | list[dict[str, Any]]) -> None:
        """One event with rows for some tables."""
        event = len(self.events)
        self.events.append(ts)
        for name, rows in tables.items():
            for row in rows if isinstance(rows, list) else [rows]:
                self._rows.setdefault(name, []).append({"ts": ts, "seq": event} | row)
                self._event_of.setdefault(name, []).append(event)

    def message(self, ts: int, peer: int, kind: str, *, inbound: bool = True, size: int = 8, **more: Any) -> None:
        """A message; `more` may give kept, error and rows of other tables (as lists)."""
        row = {"peer": peer, "inbound": inbound, "type": kind, "size": size, "kept": more.pop("kept", size), "unreadable": False}
        row["error"] = more.pop("error", None)
        self.add(ts, message=row, **more)

    def addr(self, ts: int, peer: int, ip: Array, time: Sequence[int] | Array, *, kind: str = "addr", **more: Any) -> None:
        """An `addr` or `addrv2` message with these IPv4 addresses and times (s). `size` and `kept` as usual unless given."""
        entry = {"peer": peer, "inbound": more.pop("inbound", True), "services": 9, "network": "ipv4", "port": 8333, "key": None}
        rows = [entry | {"idx": i, "ip": a.tobytes(), "time": int(t)} for i, (a, t) in enumerate(zip(ip, time, strict=True))]
        size = more.pop("size", 3 + 30 * len(rows))
        self.message(ts, peer, kind, size=size, inbound=entry["inbound"], address=rows, **more)

    def opened(self, ts: int, peer: int, *, event: str = "opened", conn_type: str | None = "inbound", **more: Any) -> None:
        """A connection opened, or another event of it."""
        row = {"peer": peer, "event": event, "conn_type": conn_type, "inbound": conn_type == "inbound", "network": "ipv4"}
        self.add(ts, connection=row | {"address": f"192.0.2.{peer % 256}:8333", "established": ts} | more)

    def closed(self, ts: int, peer: int) -> None:
        """A connection closed."""
        self.opened(ts, peer, event="closed")

    def version(self, ts: int, peer: int, *, clock: int | None = None, inbound: bool = True) -> None:
        """A `version` message; `clock` (s) is what the sender says."""
        row = {
            "peer": peer,
            "inbound": inbound,
            "protocol": 70016,
            "services": 9,
            "time": ts // SECOND if clock is None else clock,
        }
        self.message(ts, peer, "version", size=102, inbound=inbound, version=[row])

    def loss(self, ts: int, kind: str, *, first: int | None = None, **more: Any) -> None:
        """Something not seen, from `first` to `ts`."""
        row = {"kind": kind, "probe": None, "first_ts": ts if first is None else first, "last_ts": ts, "count": 0, "bytes": 0}
        self.add(ts, loss=row | {"reason": "for the test"} | more)

    def node(self, ts: int, event: str, *, started: int | None = None, pid: int | None = 7) -> None:
        """Something about the node's process."""
        self.add(ts, node={"event": event, "started": started, "pid": pid})

    def append(self, other: Stream) -> None:
        """Let all events of another stream follow."""
        first = len(self.events)
        self.events += other.events
        for name, rows in other._rows.items():
            self._rows.setdefault(name, []).extend(row | {"seq": row["seq"] + first} for row in rows)
            self._event_of.setdefault(name, []).extend(event + first for event in other._event_of[name])

    def sorted(self) -> Stream:
        """The same events in order of time."""
        order = np.argsort(self.events, kind="stable")
        rank = np.empty(len(order), int)
        rank[order] = np.arange(len(order))
        result = Stream(self.identity)
        result.events = [self.events[i] for i in order]
        for name, rows in self._rows.items():
            of = rank[self._event_of[name]]
            by_event = np.argsort(of, kind="stable")
            result._rows[name] = [rows[i] | {"seq": int(of[i])} for i in by_event]
            result._event_of[name] = of[by_event].tolist()
        return result

    def tables(self) -> dict[str, pa.RecordBatch]:
        """All rows, by table."""
        result = {}
        for name, rows in self._rows.items():
            columns = {column for row in rows for column in row}
            result[name] = all_tables()[name].build(self.identity, {c: [row.get(c) for row in rows] for c in columns})
        return result

    def batch(self, watermark: int | None = None) -> Batch:
        """All events in one batch."""
        events = np.array(self.events, np.int64)
        last = max(self.events, default=0)
        of = {name: np.array(e, np.int64) for name, e in self._event_of.items()}
        return Batch(self.identity, last if watermark is None else watermark, self.tables(), events, of)


def cut(batch: Batch, size: int) -> Iterator[Batch]:
    """The same input in batches of `size` events each; the last has the whole batch's watermark.

    Watermarks go back only where the clock was set back.
    """
    n = len(batch.events)
    clock = batch.event_of["loss"][Rows(batch.tables["loss"]).where("kind", "clock")] if "loss" in batch.tables else []
    parts = np.split(batch.events, clock)
    latest = np.concatenate([np.maximum.accumulate(part) for part in parts])
    for first in range(0, n, size):
        stop = min(first + size, n)
        tables, event_of = {}, {}
        for name, rows in batch.tables.items():
            low, high = np.searchsorted(batch.event_of[name], [first, stop]).tolist()
            tables[name] = rows.slice(low, high - low)
            event_of[name] = batch.event_of[name][low:high] - first
        watermark = batch.watermark if stop == n else int(latest[stop - 1])
        yield Batch(batch.identity, watermark, tables, batch.events[first:stop], event_of)


def gossip(stream: Stream, rng: np.random.Generator, peer: int, span: tuple[float, float], rate: float = 0.015) -> None:
    """Addresses as an honest Core peer sends them: gathered at `rate` a second, sent at random times 30 s apart on average."""
    now, stop = span
    while (pause := rng.exponential(30)) + now < stop:
        now += pause
        if n := int(rng.poisson(rate * pause)):
            stream.addr(at(now), peer, honest_addresses(rng, n), START + int(now) - rng.integers(0, 3600, n))


def flood(stream: Stream, rng: np.random.Generator, peer: int, start: float, *, messages: int = 500, every: float = 0.2) -> None:
    """A flood as in 2021: messages of ten uniform random addresses, with timestamps up to nine minutes in the future."""
    for nth in range(messages):
        now = start + nth * every + rng.uniform(0, every / 4)
        stream.addr(at(now), peer, uniform_addresses(rng, 10), START + int(now) + rng.integers(0, 540, 10))


def run(source: Stream | Batch | Sequence[Batch], *detectors: Detector, node: str = "alice") -> list[Detected]:
    """Everything that detectors find in a stream, a batch or several."""
    batches = [source.batch()] if isinstance(source, Stream) else [source] if isinstance(source, Batch) else source
    runner = Runner(node, detectors)
    found = [each for batch in batches for each in runner.feed(batch)]
    return found + runner.finish()


def kinds(found: Sequence[Detected]) -> set[str]:
    """Kinds of what was found."""
    return {each.finding.kind for each in found}


def peers_of(found: Sequence[Detected], kind: str) -> set[int]:
    """Peers named by findings of one kind."""
    return {peer for each in found if each.finding.kind == kind for peer in each.finding.peers}
