"""Looking at a node from outside: a well-behaved peer of our own that connects to it on the same machine.

Its own end of the connection is told, and that is taken note of, before the node can see the connection: so no source and no
detector ever takes our peer for a stranger.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Sequence
from threading import Lock
from typing import Literal

from peerwatch.schema.batch import SECOND
from peerwatch.schema.table import Table
from peerwatch.schema.tables.probe import Probe
from peerwatch.schema.tables.probe_traffic import ProbeTraffic
from peerwatch.sources.gathered import Gathered
from peerwatch.sources.probe.connection import Connection, Ended
from peerwatch.sources.probe.dialogue import Dialogue
from peerwatch.sources.probe.traffic import Traffic
from peerwatch.sources.probe.transport import INSTALLED, NETWORKS, TRANSPORTS, Kind, magic_of
from peerwatch.wire.raw import TypeNames

NOTED_NS = 5 * SECOND
"""How long the watcher is waited for to take note of a connection that is about to be made."""
NOTED_POLL_S = 0.02
FIRST_PAUSE_S = 5.0
"""Pause before connecting again; doubled each time …"""
LONGEST_PAUSE_S = 300.0
"""… up to this …"""
STABLE_NS = 60 * SECOND
"""… and as it was at first after a connection that lasted so long."""
IDLE_S = 3600.0
"""Pause when there is nothing to be done any more."""

NOT_TALKING = "The probe has no connection with the node; table probe says why."


class ProbeError(Exception):
    """The probe cannot look at that; the text says why, in a sentence without its full stop."""


class ProbeLook:
    """Our peer of one node. See the module; `sources.look.Look` says what the methods promise."""

    name = "probe"
    tables: Sequence[type[Table]] = (Probe, ProbeTraffic)
    blocks = True

    def __init__(
        self,
        address: tuple[str, int],
        chain: str,
        transport: Literal["v1", "v2", "auto"] = "v1",
        relay: bool = False,  # noqa: FBT001, FBT002 - as it stands in a version message
        *,
        addresses: bool = False,
    ) -> None:
        """Look at the node that listens at `address`, which must be a loopback one.

        Args:
            address: IP address and port.
            chain: main, test, testnet4, signet (the default one) or regtest.
            transport: `auto` is v2, and v1 if the node does not speak that; as long as that works, it is kept.
            relay: whether the node may announce transactions to us; they are counted and never asked for.
            addresses: whether to ask for addresses once a connection; the node relays them to us from then on.

        Raises:
            ProbeError: not an address of this machine alone, or no such chain.
        """
        host = "127.0.0.1" if address[0] == "localhost" else address[0]
        if not _is_loopback(host):
            raise ProbeError("the probe looks at a node of its own machine only, by a loopback address such as 127.0.0.1")
        if chain not in NETWORKS:
            raise ProbeError(f"the probe knows the chains {', '.join(NETWORKS)}")
        self._target = host, address[1]
        self._local = "::1" if ":" in host else "127.0.0.1"
        self._chain = chain
        self._is_auto = transport == "auto"
        self._kind: Kind = "v1" if transport == "v1" else "v2"
        """What the next connection speaks."""
        self._relay = relay
        self._addresses = addresses
        self._names = TypeNames()
        self._connection: Connection | None = None
        self._announced: int | None = None
        """When the connection was told that is about to be made."""
        self._due = 0
        self._pause_s = FIRST_PAUSE_S
        self._lock = Lock()
        self._closed = False

    def look(self, rows: Gathered) -> float:
        """Go one step further; a step takes half a second at most, or, while connecting, a second."""
        with self._lock:
            if self._closed:
                return IDLE_S
            if not INSTALLED:
                rows.unseen(self.name, "The probe needs btclib: install peerwatch[probe].", time.time_ns())
                return IDLE_S
            if self._connection is None:
                if (left := self._due - time.monotonic_ns()) > 0:
                    return left / SECOND
                self._connection = self._announce(rows)
            try:
                return self._go_on(self._connection, rows)
            except Ended as ended:
                why = str(ended)
            except Exception as error:  # noqa: BLE001 - whatever the node made us stumble over ends this connection only
                why = f"Talking to the node failed ({type(error).__name__})."
            return self._over(self._connection, rows, why)

    def close(self) -> None:
        """End the connection."""
        self._closed = True
        with self._lock:
            if self._connection:
                self._connection.close()
            self._connection = None

    def _announce(self, rows: Gathered) -> Connection:
        """Take an end for a connection and tell it."""
        transport = TRANSPORTS[self._kind](magic_of(self._chain))
        dialogue = Dialogue(relay=self._relay, addresses=self._addresses)
        connection = Connection(self._target, self._local, transport, dialogue, Traffic(self._names))
        connection.tell(rows, "connecting")
        self._announced = time.monotonic_ns()
        return connection

    def _go_on(self, connection: Connection, rows: Gathered) -> float:
        if self._announced is None:
            was_open = connection.is_open
            connection.step(rows)
            if connection.is_open and not was_open:
                rows.seen(self.name, time.time_ns())
            return 0.0
        if rows.waiting:
            if time.monotonic_ns() - self._announced >= NOTED_NS:
                raise Ended("The watcher took no note of the connection in time, so it was not made.")
            return NOTED_POLL_S
        self._announced = None
        connection.connect(rows)
        return 0.0

    def _over(self, connection: Connection, rows: Gathered, why: str) -> float:
        """The connection has ended, or did not come about. Returns the pause before the next."""
        lasted = time.monotonic_ns() - connection.began if connection.began else None
        connection.tell_traffic(rows)
        connection.tell(rows, "closed" if connection.is_open else "failed", lasted, why)
        connection.close()
        self._connection = self._announced = None
        if not connection.is_open:
            if self._is_auto:
                self._kind = "v1" if connection.is_connected and not connection.transport.ready else "v2"
            if not self._is_auto or self._kind == "v2":  # else v1 is still to be tried
                rows.unseen(self.name, NOT_TALKING, time.time_ns())
        if connection.is_open and (lasted or 0) >= STABLE_NS:
            self._pause_s = FIRST_PAUSE_S
        pause, self._pause_s = self._pause_s, min(2 * self._pause_s, LONGEST_PAUSE_S)
        self._due = time.monotonic_ns() + int(pause * SECOND)
        return pause


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
