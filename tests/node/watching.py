"""Sources of one node, read as the run loop reads them, with everything kept, and held to what every source promises."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from peerwatch.peers.agreement import Agreement
from peerwatch.schema.table import Identity
from peerwatch.sources._api import Chunk, Source
from peerwatch.wire.dissect import dissect
from peerwatch.wire.keyed_hash import KEY_BYTES
from tests.node.counts import Peers, Sums, add
from tests.node.harness import WAIT_S

NAME = "alpha"
KEY = bytes(KEY_BYTES)
POLL_S = 0.1
HEARD = ("message", "log_traffic")
"""Tables that tell of messages."""


@dataclass
class Session:
    """What came under one identity."""

    messages: list[Chunk] = field(default_factory=list)
    """Chunks that have messages."""
    seq: set[int] = field(default_factory=set)
    """Numbers of its events."""
    watermark: int = 0
    ended: bool = False


class Watching:
    """Reads sources. It is a context manager that closes them."""

    def __init__(self, *sources: Source) -> None:
        """Nothing is read yet."""
        self.sources = list(sources)
        self.sessions: dict[Identity, Session] = defaultdict(Session)
        self.rows: dict[str, list[pa.RecordBatch]] = defaultdict(list)
        self.agreement = Agreement(NAME)
        self.told: list[dict[str, Any]] = []
        """Rows of the comparison of the sources with the node's own figures."""
        self.deaf = Agreement(NAME)
        self.missed: list[dict[str, Any]] = []
        """The same for sources that would not hear pings."""

    def __enter__(self) -> Self:
        """Nothing more."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the sources."""
        for source in self.sources:
            source.close()

    def read(self) -> None:
        """One round."""
        for source in self.sources:
            for chunk in source.read() or ():
                self._take(chunk)
            source.commit()

    def go_on(self, seconds: float) -> None:
        """Read for some time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.read()
            time.sleep(POLL_S)

    def until(self, holds: Callable[[], Any], what: str, seconds: float = WAIT_S) -> Any:
        """Read until something holds; it is what is returned.

        Raises:
            AssertionError: it does not within `seconds`.
        """
        end = time.monotonic() + seconds
        while not (value := holds()):
            assert time.monotonic() < end, f"waited {seconds:g} s in vain: {what}; losses: {self.of('loss')}"
            self.read()
            time.sleep(POLL_S)
        return value

    def of(self, table: str, source: str | None = None, /, **values: Any) -> list[dict[str, Any]]:
        """Rows of a table, of one source if it is named, that have certain values."""
        rows = [row for batch in self.rows[table] for row in batch.to_pylist()]
        wanted = values | ({"source": source} if source else {})
        return [row for row in rows if all(row[name] == value for name, value in wanted.items())]

    def latest(self, table: str, key: str = "peer") -> dict[Any, dict[str, Any]]:
        """The last row of a table for each value of a column."""
        return {row[key]: row for row in self.of(table)}

    def gaps(self) -> list[str]:
        """What is wrong with the numbers of events: they must be whole, from the first on, in each session."""
        wrong = []
        for identity, session in self.sessions.items():
            if session.seq and len(session.seq) != max(session.seq) - min(session.seq) + 1:
                wrong.append(f"{identity.source}: {len(session.seq)} events numbered {min(session.seq)} to {max(session.seq)}")
        return wrong

    def _take(self, chunk: Chunk) -> None:
        session = self.sessions[chunk.identity]
        assert not session.ended, f"{chunk.identity} goes on after its end"
        clock = "loss" in chunk.rows and "clock" in chunk.rows["loss"]["kind"].to_pylist()
        assert chunk.watermark >= session.watermark or clock, f"the watermark of {chunk.identity.source} went back"
        session.watermark, session.ended = chunk.watermark, chunk.ended
        tables: dict[str, pa.RecordBatch] = dict(chunk.rows)
        if len(chunk.messages):
            session.messages.append(chunk)
            tables["message"] = dissect(chunk.identity, chunk.messages, KEY).tables["message"]
        for name, batch in tables.items():
            batch.validate(full=True)
            if name in chunk.rows:
                self.rows[name].append(batch)
            keys = zip(*(batch[column].to_pylist() for column in ("node", "session", "source", "seq")), strict=True)
            for node, number, source, seq in keys:
                self.sessions[Identity(node, number, source)].seq.add(seq)
        if told := self.agreement.feed(chunk.identity, tables):
            self.told += told[1].to_pylist()
        heard = {name: batch.filter(pc.not_equal(batch["type"], "ping")) for name, batch in tables.items() if name in HEARD}
        if told := self.deaf.feed(chunk.identity, tables | heard):
            self.missed += told[1].to_pylist()


def message_sums(watching: Watching, source: str, addresses: Mapping[int, str]) -> Sums:
    """Messages and payload bytes that a source delivered, of peers by their addresses, types as they stand on the wire."""
    sums: Sums = {}
    for identity, session in watching.sessions.items():
        if identity.source != source:
            continue
        for chunk in session.messages:
            m = chunk.messages
            for peer, inbound, kind, size in zip(
                m.peer.tolist(), m.inbound.tolist(), m.type.tolist(), m.size.tolist(), strict=True
            ):
                if peer in addresses:
                    add(sums, (addresses[peer], inbound, m.names[kind]), 1, size)
    return sums


def logged_sums(watching: Watching, peers: Peers) -> Sums:
    """Messages and payload bytes that the log has, of peers by their addresses, types as the log spells them."""
    sums: Sums = {}
    for row in watching.of("log_traffic"):
        if row["peer"] in peers:
            add(sums, (peers[row["peer"]]["addr"], row["inbound"], row["type"]), row["messages"], row["bytes"])
    return sums


def counted(watching: Watching, session: int) -> dict[int, dict[bool, dict[str, int]]]:
    """Bytes that the node counted in the end, by its ids of peers, whether it received them, and type."""
    found: dict[int, dict[bool, dict[str, int]]] = {}
    for row in watching.of("peer_traffic", session=session):
        found.setdefault(row["peer"], {True: {}, False: {}})[row["inbound"]][row["type"]] = row["bytes"]
    return found


def opened(watching: Watching, source: str) -> dict[int, str]:
    """Addresses of the peers of a source, by its ids."""
    return {row["peer"]: row["address"] for row in watching.of("connection", source) if row["address"]}
