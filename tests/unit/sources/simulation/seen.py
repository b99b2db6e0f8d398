"""Short simulations, taken apart message by message in plain code, for tests of the parts that made them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from peerwatch.schema.batch import SECOND, Array
from peerwatch.sources.simulation.events import INBOUND, OUTBOUND, Events, Window
from peerwatch.sources.simulation.scenarios._api import Attack, Scenario
from peerwatch.sources.simulation.simulation import Plan, Simulation
from peerwatch.sources.usdt.probes import PROBES

START = 1_760_054_400 * SECOND + 123
"""9 October 2025, and not a whole second."""


class Message(NamedTuple):
    """One message: time (ns), peer, direction, type, payload."""

    ts: int
    peer: int
    inbound: bool
    kind: str
    body: bytes


class Other(NamedTuple):
    """One event of another probe: time (ns), probe's name without provider, arguments by name."""

    ts: int
    probe: str
    args: dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """All events of a simulation, in order."""

    messages: list[Message]
    others: list[Other]
    attacks: list[Attack]
    windows: list[Window]

    def of(self, *kinds: str, inbound: bool | None = None) -> list[Message]:
        """Messages of some types and direction."""
        return [m for m in self.messages if m.kind in kinds and inbound in (None, m.inbound)]

    def probe(self, *names: str) -> list[Other]:
        """Events of some probes."""
        return [o for o in self.others if o.probe in names]


def plan(scenario: str = "quiet", seconds: float = 600, seed: int = 1, **more: Any) -> Plan:
    """A plan that begins at START."""
    return Plan(scenario, seed, START, round(seconds * SECOND), **more)


@cache
def simulated(scenario: str = "quiet", seconds: float = 600, seed: int = 1) -> Seen:
    """A simulation with the options' defaults."""
    simulation = Simulation(plan(scenario, seconds, seed))
    windows = list(simulation)
    return apart([w.events for w in windows], simulation.attacks(), windows)


def played(scenario: type[Scenario], seconds: float, **options: float) -> Seen:
    """A simulation of a scenario that is not in the catalogue."""
    simulation = Simulation(plan(seconds=seconds, options=options), scenario)
    windows = list(simulation)
    return apart([w.events for w in windows], simulation.attacks(), windows)


def apart(parts: list[Events], attacks: list[Attack] | None = None, windows: list[Window] | None = None) -> Seen:
    """Take events apart."""
    seen = Seen([], [], attacks or [], windows or [])
    for events in parts:
        data, head = events.bodies.buf.tobytes(), events.head
        types = head["type"].copy().view("S16").tolist()
        rows = zip(head["ts"].tolist(), head["peer"].tolist(), head["probe"].tolist(), types,
                   events.bodies.start.tolist(), events.bodies.size.tolist(), strict=True)  # fmt: skip
        for ts, peer, probe, kind, start, size in rows:
            body = data[start : start + size]
            if probe in (INBOUND, OUTBOUND):
                seen.messages.append(Message(ts, peer, probe == INBOUND, kind.decode(), body))
            else:
                seen.others.append(Other(ts, PROBES[probe].name, arguments(probe, body)))
    return seen


def arguments(probe: int, body: bytes) -> dict[str, Any]:
    """The arguments of an event by name."""
    layout = PROBES[probe].body
    values = np.frombuffer(body, layout)[0]
    return {n: values[n].tobytes() if layout[n].kind == "V" else values[n].item() for n in layout.names or ()}


def compact_size(body: bytes, at: int = 0) -> tuple[int, int]:
    """A compact size at `at`, and where it ends."""
    if body[at] < 0xFD:
        return body[at], at + 1
    width = {0xFD: 2, 0xFE: 4, 0xFF: 8}[body[at]]
    return int.from_bytes(body[at + 1 : at + 1 + width], "little"), at + 1 + width


def inventory(body: bytes) -> list[tuple[int, bytes]]:
    """Entries of an inv, getdata or notfound; it must end after them."""
    count, at = compact_size(body)
    assert len(body) == at + 36 * count
    places = range(at, len(body), 36)
    return [(int.from_bytes(body[i : i + 4], "little"), body[i + 4 : i + 36]) for i in places]


class Entry(NamedTuple):
    """One address: time (s), services, network (BIP 155), address, port."""

    time: int
    services: int
    network: int
    key: bytes
    port: int


def addresses(message: Message) -> list[Entry]:
    """Entries of an addr or addrv2; it must end after them."""
    body = message.body
    count, at = compact_size(body)
    out = []
    for _ in range(count):
        time = int.from_bytes(body[at : at + 4], "little")
        if message.kind == "addr":
            services, ip = int.from_bytes(body[at + 4 : at + 12], "little"), body[at + 12 : at + 28]
            mapped = ip.startswith(b"\0" * 10 + b"\xff\xff")
            network, key, at = (1, ip[12:], at + 28) if mapped else (2, ip, at + 28)
        else:
            services, at = compact_size(body, at + 4)
            network, (length, at) = body[at], compact_size(body, at + 1)
            key, at = body[at : at + length], at + length
        out.append(Entry(time, services, network, key, int.from_bytes(body[at : at + 2], "big")))
        at += 2
    assert at == len(body)
    return out


def rng(seed: int = 0) -> np.random.Generator:
    """A seeded generator."""
    return np.random.default_rng(seed)


def column(values: list[int]) -> Array:
    """Integers as a column."""
    return np.array(values, np.int64)
