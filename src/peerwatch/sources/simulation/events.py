"""What the simulated node's tracepoints say, in columns.

An event is a record as the kernel would give it (sources/usdt/probes.py: header, and a body that is a payload or arguments), so
that the same code makes rows of it. Where a body lies is free, and messages with the same payload share it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from peerwatch.schema.batch import Array
from peerwatch.sources.simulation.pieces import Pieces
from peerwatch.sources.usdt.probes import HEADER, PROBES
from peerwatch.wire.raw import PAD

NUMBER = {probe.full_name: number for number, probe in enumerate(PROBES)}
"""Numbers of the probes by name."""

INBOUND = NUMBER["net:inbound_message"]
OUTBOUND = NUMBER["net:outbound_message"]


@dataclass(frozen=True, slots=True)
class Name:
    """What a message's probe says of its peer: address and connection type."""

    address: bytes
    conn_type: bytes


@dataclass(frozen=True, slots=True)
class Events:
    """Events in columns: `head` (probes.HEADER; ts is ns UTC) and `bodies`, one entry an event."""

    head: Array
    bodies: Pieces

    def __len__(self) -> int:
        """Number of events."""
        return len(self.head)

    def take(self, index: Array | slice) -> Events:
        """Some of the events, in the order of `index`."""
        return Events(self.head[index], self.bodies.take(index))

    def messages(self) -> Array:
        """Mask of the events that are messages."""
        return np.asarray(self.head["probe"] <= OUTBOUND)

    @classmethod
    def joined(cls, parts: Sequence[Events]) -> Events:
        """All events of `parts`, one part after the other."""
        if not parts:
            none = np.zeros(0, np.int64)
            return cls(np.zeros(0, HEADER), Pieces(np.zeros(PAD, np.uint8), none, none))
        return cls(np.concatenate([p.head for p in parts]), Pieces.joined([p.bodies for p in parts]))


@dataclass(frozen=True, slots=True)
class Window:
    """Events of one stretch of time, ordered; all before `end` (ns) are in it. `names` has every peer of its messages."""

    events: Events
    end: int
    names: Mapping[int, Name]

    def split(self, at: int) -> tuple[Window, Window]:
        """The events before `at` (ns, at most end), and the rest."""
        cut = int(np.searchsorted(self.events.head["ts"], np.uint64(at)))
        first, rest = self.events.take(slice(cut)), self.events.take(slice(cut, None))
        return Window(first, at, self.names), Window(rest, self.end, self.names)


def messages(ts: Array, peer: Array, inbound: bool | Array, kind: str, bodies: Pieces) -> Events:  # noqa: FBT001 - a column
    """Messages of one type."""
    head = np.zeros(len(ts), HEADER)
    head["ts"], head["peer"], head["size"], head["kept"] = ts, peer, bodies.size, bodies.size
    head["probe"] = np.where(inbound, INBOUND, OUTBOUND)
    head["type"] = np.void(kind.encode().ljust(16, b"\0"))
    return Events(head, bodies)


def probes(name: str, ts: Array, columns: Mapping[str, object]) -> Events:
    """Events of a probe that is not a message, with its arguments by name.

    Raises:
        ValueError: an argument that the probe does not have.
    """
    number = NUMBER[name]
    body = np.zeros(len(ts), PROBES[number].body)
    for column, values in columns.items():
        if isinstance(values, np.ndarray) and values.ndim == 2:  # noqa: PLR2004 - hashes as rows of 32 bytes
            body[column] = np.ascontiguousarray(values).view("V32")[:, 0]
        else:
            body[column] = values
    head = np.zeros(len(ts), HEADER)
    head["ts"], head["probe"], head["kept"] = ts, number, body.itemsize
    if "peer" in columns:
        head["peer"] = body["peer"]
    return Events(head, Pieces.of_rows(body.view(np.uint8).reshape(len(ts), body.itemsize)))


def ordered(events: Events) -> Events:
    """The same events by time; those of one moment stay in their order. The buffer gets `PAD` zero bytes at its end."""
    order = np.argsort(events.head["ts"], kind="stable")
    bodies = events.bodies
    padded = Pieces(np.concatenate([bodies.buf, np.zeros(PAD, np.uint8)]), bodies.start, bodies.size)
    return Events(events.head, padded).take(order)


def compacted(events: Events) -> Events:
    """The same events with only their own bytes, for keeping."""
    return Events(events.head, events.bodies.compacted())


class Script:
    """Messages written down one by one, for what happens seldom: a handshake, a block."""

    def __init__(self) -> None:
        """Begin with none."""
        self._ts: list[int] = []
        self._peer: list[int] = []
        self._inbound: list[bool] = []
        self._type: list[bytes] = []
        self._body: list[bytes] = []

    def say(self, ts: float, peer: int, inbound: bool, kind: str, body: bytes = b"") -> None:  # noqa: FBT001 - a row
        """Write down one message."""
        self._ts.append(int(ts))
        self._peer.append(peer)
        self._inbound.append(inbound)
        self._type.append(kind.encode().ljust(16, b"\0"))
        self._body.append(body)

    def events(self) -> Events:
        """All of them, in the order of writing."""
        bodies = Pieces.of_bytes(self._body)
        head = np.zeros(len(bodies), HEADER)
        head["ts"], head["peer"], head["size"], head["kept"] = self._ts, self._peer, bodies.size, bodies.size
        head["probe"] = np.where(np.array(self._inbound, bool), INBOUND, OUTBOUND)
        head["type"] = np.frombuffer(b"".join(self._type), "V16")
        return Events(head, bodies)
