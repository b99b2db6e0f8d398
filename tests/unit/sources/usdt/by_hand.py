"""The tracer's half of the USDT source, driven by hand: ring, slots and control as files, a real link, the real journal."""

from __future__ import annotations

import os
import socket
from typing import Any

import numpy as np

from peerwatch.schema.batch import SECOND
from peerwatch.sources.usdt.clock import UtcClock
from peerwatch.sources.usdt.journal import Journal
from peerwatch.sources.usdt.link import PROTOCOL, Blind, Exited, Hello, Link, LinkClosedError, Process, Who, pair, requests, send
from peerwatch.sources.usdt.probes import DESCRIBED, DESCRIBED_BODY, HEADER, PROBES, UNREADABLE
from peerwatch.sources.usdt.slots import CONTROL, MAX_SLOTS, SLOT
from tests.unit.sources.usdt.test_ring import Producer

PAGE = 4096
LOADED = 1_700_000_000 * SECOND
"""UTC ns at which the imagined BPF program was loaded."""
BOOTED = LOADED - 50_000 * SECOND
"""UTC minus the monotonic clock, as long as nobody sets the clock."""

NUMBER = {probe.full_name: number for number, probe in enumerate(PROBES)}


class Time:
    """The clocks of the machine, which stand still unless the test moves them."""

    def __init__(self) -> None:
        """One hour after the load."""
        self.monotonic = LOADED - BOOTED + 3600 * SECOND
        self.offset = BOOTED

    def clock(self) -> UtcClock:
        """A UtcClock of these clocks."""
        return UtcClock(lambda: self.monotonic, lambda: self.monotonic + self.offset)

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self.monotonic += round(seconds * SECOND)

    @property
    def utc(self) -> int:
        """UTC now, ns."""
        return self.monotonic + self.offset


def message(probe: str, payload: bytes, **fields: Any) -> bytes:
    """A record of a message: header and payload."""
    return _record(NUMBER[f"net:{probe}_message"], payload, {"size": len(payload), **fields})


def event(probe: str, **fields: Any) -> bytes:
    """A record of another probe: its arguments and fields of the header (`ts`, `seq`, `slot`, `peer`, `flags`) by name."""
    head = {name: fields.pop(name) for name in ("ts", "seq", "slot", "flags") if name in fields}
    number = DESCRIBED if probe == "described" else NUMBER[probe]
    body = np.zeros(1, DESCRIBED_BODY if probe == "described" else PROBES[number].body)
    head["peer"] = fields.pop("peer", 0)
    if "peer" in (body.dtype.names or ()):
        body["peer"] = head["peer"]
    for name, value in fields.items():
        body[name] = np.frombuffer(value, body.dtype[name])[0] if body.dtype[name].kind == "V" else value
    return _record(number, body.tobytes(), head)


def _record(number: int, body: bytes, fields: dict[str, Any]) -> bytes:
    head = np.zeros(1, HEADER)
    head["kept"], head["probe"] = len(body), number
    for name, value in fields.items():
        head[name] = np.void(value.encode().ljust(16, b"\0")) if name == "type" else value
    return head.tobytes() + body


class HandTracer:
    """Keeps maps and facts as the real tracer does, over any number of watchers."""

    def __init__(self, ring_bytes: int = 1 << 18) -> None:
        """An empty ring and no process."""
        self.time = Time()
        self.journal = Journal()
        self.barren = 0
        self.starts = 0
        self.ring_fd = os.memfd_create("ring")
        self.producer = Producer(self.ring_fd, ring_bytes)
        self._slots_fd = _zeros("slots", MAX_SLOTS * SLOT.itemsize)
        self._control_fd = _zeros("control", CONTROL.itemsize)
        self.slots = np.zeros(MAX_SLOTS, SLOT)
        self._sock: socket.socket | None = None
        self._links: list[Link] = []
        self._sent = 0
        self.asked: list[int] = []
        """Slots that watchers have asked about."""
        self.deaf = False
        """Whether questions stay without an answer."""

    def connect(self) -> Link:
        """A new watcher's end; the one before is gone."""
        self.part()
        self._sock, theirs = pair()
        self._links.append(Link(theirs))
        hello = Hello(PROTOCOL, LOADED, self.producer.size, self.starts, self.barren)
        send(self._sock, hello, [self.ring_fd, self._slots_fd, self._control_fd])
        self.starts, self.barren, self._sent = self.starts + 1, self.barren + 1, 0
        self.tell()
        return self._links[-1]

    def part(self) -> None:
        """Close the link."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def tell(self) -> None:
        """Send the facts that the watcher has not got."""
        assert self._sock is not None
        for fact in self.journal.after(self._sent):
            assert send(self._sock, fact)
            self._sent = fact.number

    def hear(self) -> None:
        """Take what the watcher said, and answer."""
        assert self._sock is not None
        try:
            for request in requests(self._sock):
                if not isinstance(request, Who):
                    self.barren = 0
                    self.journal.recorded(request.number)
                    continue
                self.asked.append(request.slot)
                known = self.journal.of_slot(request.slot)
                if not self.deaf and known is not None and known not in self.journal.after(self._sent):
                    send(self._sock, known)
        except LinkClosedError:
            self.part()

    def close(self) -> None:
        """Give everything back, the ends of all watchers too."""
        self.part()
        for link in self._links:
            link.close()
        for fd in (self.ring_fd, self._slots_fd, self._control_fd):
            os.close(fd)

    # -- what happens on the machine -----------------------------------------------------------------------------------------

    def fire(self, slot: int, record: bytes = b"", *, kind: str = "ping") -> int:
        """A probe of a process fires: a small message, unless a record is given whose slot and seq are to be set. Its seq."""
        seq = int(self.slots[slot]["seen"])
        head = np.frombuffer(bytearray(record or message("inbound", seq.to_bytes(8, "little"), type=kind, peer=1)), np.uint8)
        view = head[: HEADER.itemsize].view(HEADER)
        view["slot"], view["seq"], view["ts"] = slot, seq, self.time.monotonic
        flags = int(view["flags"][0])
        self.producer.write(head.tobytes())
        self.count(slot, seen=1, sent=1, unreadable=flags & UNREADABLE)
        return seq

    def count(self, slot: int, **more: int) -> None:
        """Add to counters of a slot; those of `counted` by position, as c0, c1, c2."""
        row = self.slots[slot : slot + 1]
        row["tgid"] = 1000 + slot
        for name, value in more.items():
            if name[1:].isdigit():
                row["counted"][0, int(name[1:])] += value
            else:
                row[name] += value
        os.pwrite(self._slots_fd, row.tobytes(), slot * SLOT.itemsize)

    def unassigned(self, hits: int) -> None:
        """So many hits in all had no slot."""
        os.pwrite(self._control_fd, hits.to_bytes(8, "little"), 0)

    # -- facts ---------------------------------------------------------------------------------------------------------------

    def process(self, slot: int | None, node: str = "alice", *, session: int, ours: bool = True, **more: Any) -> Process:
        """A process is there, or has got its slot."""
        values: dict[str, Any] = {
            "number": self.journal.next,
            "tgid": session % 100_000,
            "slot": slot,
            "ours": ours,
            "key": f"key {node}" if ours else "",
            "node": node if ours else None,
            "session": LOADED + session,
            "started": LOADED + session,
            "event": "started",
            "binary": "/usr/bin/bitcoind",
            "chain": "main",
            "attached": ("net:inbound_message", "net:outbound_message"),
        }
        fact = Process(**(values | more))
        self.journal.add(fact)
        return fact

    def exited(self, slot: int | None, node: str = "alice", *, session: int, **more: Any) -> None:
        """A process has ended."""
        values: dict[str, Any] = {"tgid": session % 100_000, "slot": slot, "key": f"key {node}", "node": node}
        values |= {"session": LOADED + session, "ts": self.time.utc}
        self.journal.add(Exited(self.journal.next, **(values | more)))

    def blind(self, node: str | None = None, probe: str | None = None, reason: str = "cannot be seen") -> None:
        """Something cannot be seen; of all nodes when there is no name."""
        now = self.time.utc
        key = None if node is None else f"key {node}"
        self.journal.add(Blind(self.journal.next, now, now - SECOND, now, probe, key, node, reason))


def _zeros(name: str, size: int) -> int:
    fd = os.memfd_create(name)
    os.truncate(fd, -(-size // PAGE) * PAGE)
    return fd
