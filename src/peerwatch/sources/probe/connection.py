"""One connection of our peer with its node: a socket, what is said over it, how long that takes, and how much comes."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence

from peerwatch.schema.batch import SECOND
from peerwatch.schema.tables.probe import Probe
from peerwatch.sources.gathered import Gathered
from peerwatch.sources.probe.dialogue import Dialogue, Heard
from peerwatch.sources.probe.traffic import Traffic
from peerwatch.sources.probe.transport import Said, Transport, TransportError

WAIT_S = 0.5
"""How long one step waits for the node at most."""
RECEIVE_BYTES = 1 << 18
PING_NS = 30 * SECOND
"""From one ping to the next."""
TRAFFIC_NS = 60 * SECOND
"""Of how long rows of traffic are."""
HANDSHAKE_NS = 60 * SECOND
"""Core gives up a handshake after that time, too (net.h: DEFAULT_PEER_CONNECT_TIMEOUT)."""
PONG_NS = 1200 * SECOND
"""Core ends a connection when a pong takes longer (net.h: TIMEOUT_INTERVAL)."""


class Ended(Exception):  # noqa: N818 - it is no error
    """The connection is over; the text says why, in a sentence."""


class Connection:
    """One attempt to talk to the node, from binding our end on."""

    def __init__(self, target: tuple[str, int], local: str, transport: Transport, dialogue: Dialogue, traffic: Traffic) -> None:
        """Take a free port of `local` for our end; nothing is sent yet.

        Raises:
            OSError: there is none.
        """
        self._target = target
        self.transport = transport
        self._dialogue = dialogue
        self._traffic = traffic
        self._socket = socket.socket(socket.AF_INET6 if ":" in local else socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._socket.bind((local, 0))
        except OSError:
            self._socket.close()
            raise
        self._socket.settimeout(WAIT_S)
        port = self._socket.getsockname()[1]
        self.address = f"[{local}]:{port}" if ":" in local else f"{local}:{port}"
        """Our end, as the node names it."""
        self.began = 0
        """When we began to connect; monotonic, ns; 0 for not yet."""
        self._connected = self._pinged = self._told = 0
        self._opened = False

    @property
    def is_connected(self) -> bool:
        """Whether the node has accepted the connection."""
        return bool(self._connected)

    @property
    def is_open(self) -> bool:
        """Whether both sides are through the handshake."""
        return self._dialogue.is_open

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def connect(self, rows: Gathered) -> None:
        """Connect and say what comes first.

        Raises:
            Ended: the node does not accept the connection.
        """
        self.began = time.monotonic_ns()
        try:
            self._socket.connect(self._target)
        except ConnectionRefusedError:
            raise Ended("The node does not listen there.") from None
        except TimeoutError:
            raise Ended("The node does not accept connections.") from None
        except OSError as error:
            raise Ended(f"There is no connection to the node ({type(error).__name__}).") from None
        self._connected = self._told = time.monotonic_ns()
        self.tell(rows, "connected", self._connected - self.began)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._send(self.transport.greeting())
        self._open()

    def step(self, rows: Gathered) -> None:
        """Wait a moment for the node, and deal with what it said and what is due.

        Raises:
            Ended: the connection is over.
        """
        data, now = self._receive()
        if data:
            try:
                said, reply = self.transport.feed(data)
            except TransportError as error:
                raise Ended(str(error)) from None
            self._send(reply)
            self._open()
            for kind, payload in said:
                self._hear(rows, kind, payload, now)
        self._due(rows, time.monotonic_ns())

    def tell(self, rows: Gathered, event: str, duration: int | None = None, reason: str | None = None) -> None:
        """Add a row about what happened now."""
        kind = self.transport.kind
        rows.add(Probe, time.time_ns(), event=event, address=self.address, transport=kind, duration=duration, reason=reason)

    def tell_traffic(self, rows: Gathered) -> None:
        """Add rows of what has come since the last ones."""
        self._told = time.monotonic_ns()
        rows.add_rows(self._traffic.take(self.address, time.time_ns()))

    def _receive(self) -> tuple[bytes | None, int]:
        """What the node sent, None for nothing in time, and when it was there (monotonic, ns)."""
        try:
            data: bytes | None = self._socket.recv(RECEIVE_BYTES)
        except TimeoutError:
            data = None
        except OSError:
            raise Ended(self._end()) from None
        if data == b"":
            raise Ended(self._end())
        return data, time.monotonic_ns()

    def _end(self) -> str:
        if self.is_open:
            return "The node ended the connection."
        if self.transport.ready:
            return "The node ended the connection before the handshake was over."
        return "The node ended the connection before the encryption was agreed on: it may not speak transport v2."

    def _open(self) -> None:
        """Say our `version` as soon as the transport allows."""
        if self.transport.ready and not self._opened:
            self._opened = True
            self._say([self._dialogue.opening(int(time.time()))])

    def _hear(self, rows: Gathered, kind: str, payload: bytes, now: int) -> None:
        self._traffic.count(kind, payload)
        answers, heard = self._dialogue.hear(kind, payload)
        self._say(answers)
        if heard is Heard.HANDSHAKE:
            self.tell(rows, "handshake", now - self._connected)
        elif heard is Heard.PONG:
            self.tell(rows, "pong", now - self._pinged)

    def _due(self, rows: Gathered, now: int) -> None:
        """What is to be done at a time, and not because of a message."""
        if not self.is_open:
            if now - self._connected >= HANDSHAKE_NS:
                raise Ended("The handshake was not over after a minute.")
        elif self._dialogue.is_waiting:
            if now - self._pinged >= PONG_NS:
                raise Ended("The node did not answer a ping for twenty minutes.")
        elif now - self._pinged >= PING_NS:
            message = self.transport.encode(*self._dialogue.ping())
            self._pinged = time.monotonic_ns()
            self._send(message)
        if now - self._told >= TRAFFIC_NS:
            self.tell_traffic(rows)

    def _say(self, messages: Sequence[Said]) -> None:
        self._send(b"".join(self.transport.encode(*message) for message in messages))

    def _send(self, data: bytes) -> None:
        """Send something, unless it is nothing. It is little, so a node that does not take it has stopped reading long ago."""
        try:
            if data:
                self._socket.sendall(data)
        except TimeoutError:
            raise Ended("The node does not read what it is sent.") from None
        except OSError:
            raise Ended(self._end()) from None
