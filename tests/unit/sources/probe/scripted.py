"""A listening socket that behaves as a node does, or as a script says; its own transport is btclib's, not the probe's."""

from __future__ import annotations

import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any, Self

from btclib.hashes import hash256
from btclib.p2p import Version, magic_from_network
from btclib.p2p.bip324 import HEADER_LEN, LENGTH_LEN, TAG_LEN, Cipher, contents_from_message, message_from_contents
from ecc.ecc import ellswift

from peerwatch.sources.gathered import Gathered

MAGIC = magic_from_network("regtest")
HEADER = struct.Struct("<4s12sI4s")
LOOPBACK = "127.0.0.1"
WAIT_S = 30.0


class GoneError(Exception):
    """The other end has closed."""


class Side:
    """The node's end of a v1 connection."""

    def __init__(self, sock: socket.socket) -> None:
        """Take an accepted socket."""
        self.sock = sock
        self.heard: list[tuple[str, bytes]] = []

    def exactly(self, count: int) -> bytes:
        """The next bytes."""
        data = b""
        while len(data) < count:
            more = self.sock.recv(count - len(data))
            if not more:
                raise GoneError
            data += more
        return data

    def read(self) -> tuple[str, bytes]:
        """The next message."""
        magic, name, size, checksum = HEADER.unpack(self.exactly(HEADER.size))
        payload = self.exactly(size)
        assert (magic, checksum) == (MAGIC, hash256(payload)[:4])
        self.heard.append((name.rstrip(b"\0").decode(), payload))
        return self.heard[-1]

    def say(self, kind: str, payload: bytes = b"") -> None:
        """Send a message."""
        self.sock.sendall(HEADER.pack(MAGIC, kind.encode(), len(payload), hash256(payload)[:4]) + payload)

    def greet(self) -> None:
        """Answer the probe's `version`, and wait for its `verack`."""
        assert self.read()[0] == "version"
        self.say("version", Version(timestamp=int(time.time()), nonce=7, user_agent=b"/node:1/", relay=True).serialize())
        self.say("wtxidrelay")
        self.say("sendaddrv2")
        while self.read()[0] != "verack":
            pass
        self.say("verack")

    def serve(self, pong_delay_s: float = 0.0) -> None:
        """Answer pings until the other end closes."""
        while True:
            kind, payload = self.read()
            if kind == "ping":
                time.sleep(pong_delay_s)
                self.say("pong", payload)


class SideV2(Side):
    """The node's end of a v2 connection, with garbage and decoys."""

    def __init__(self, sock: socket.socket, garbage: int = 100) -> None:
        """Do the key exchange."""
        super().__init__(sock)
        theirs = self.exactly(64)
        key = secrets.token_bytes(32)
        ours = ellswift.create(key)
        self.cipher = Cipher(key, ours, theirs, initiator=False, magic=MAGIC)
        stuff = secrets.token_bytes(garbage)
        decoy = self.cipher.encrypt(b"decoy", stuff, ignore=True)
        sock.sendall(ours + stuff + self.cipher.send_garbage_terminator + decoy + self.cipher.encrypt(b""))
        assert self.exactly(16) == self.cipher.recv_garbage_terminator  # the probe sends no garbage
        assert self._packet() == b""

    def read(self) -> tuple[str, bytes]:
        """The next message."""
        self.heard.append(message_from_contents(self._packet()))
        return self.heard[-1]

    def say(self, kind: str, payload: bytes = b"") -> None:
        """Send a message behind a decoy."""
        self.sock.sendall(self.cipher.encrypt(b"", ignore=True) + self.cipher.encrypt(contents_from_message(kind, payload)))

    def _packet(self) -> bytes:
        length = self.cipher.decrypt_length(self.exactly(LENGTH_LEN))
        contents, is_decoy = self.cipher.decrypt(self.exactly(HEADER_LEN + length + TAG_LEN))
        assert not is_decoy
        return contents


def ordinary(sock: socket.socket) -> Side:
    """What a node of today does: it tells v1 and v2 apart by the first bytes, shakes hands, and answers pings."""
    first = sock.recv(4, socket.MSG_PEEK)
    return Side(sock) if first == MAGIC else SideV2(sock)


def serve(sock: socket.socket) -> None:
    """See `ordinary`."""
    side = ordinary(sock)
    side.greet()
    side.serve()


class Node:
    """Listens on loopback and does with each connection what a script says. It is a context manager."""

    def __init__(self, script: Callable[[socket.socket], Any] = serve) -> None:
        """Listen at once."""
        self.script = script
        self.peers: list[str] = []
        """Who connected, in order."""
        self.errors: list[BaseException] = []
        self._held: list[socket.socket] = []
        self._listener = socket.create_server((LOOPBACK, 0))
        self.end: tuple[str, int] = self._listener.getsockname()[:2]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        """Nothing more."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close everything, and raise what went wrong."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._held:
            sock.close()
        for thread in self._threads:
            thread.join(WAIT_S)
        if self.errors:
            raise self.errors[0]

    def _accept(self) -> None:
        while True:
            try:
                sock, (host, port) = self._listener.accept()
            except OSError:
                return
            sock.settimeout(WAIT_S)
            self._held.append(sock)
            self.peers.append(f"{host}:{port}")
            self._threads.append(threading.Thread(target=self._run, args=(sock,)))
            self._threads[-1].start()

    def _run(self, sock: socket.socket) -> None:
        try:
            with sock:
                self.script(sock)
        except (GoneError, OSError):
            pass
        except BaseException as error:  # noqa: BLE001 - raised in the test's own thread
            self.errors.append(error)


class Taker:
    """Rows that are taken as the watcher takes them."""

    def __init__(self) -> None:
        """None yet."""
        self.gathered = Gathered("alice", "probe", time.time_ns())
        self.rows: list[dict[str, Any]] = []

    def take(self) -> None:
        """Take what is there."""
        for chunk in self.gathered.take(time.time_ns()):
            for table, batch in chunk.rows.items():
                self.rows += [{"table": table, **row} for row in batch.to_pylist()]

    def of(self, table: str) -> list[dict[str, Any]]:
        """Rows of a table in their order."""
        return sorted((row for row in self.rows if row["table"] == table), key=lambda row: row["seq"])

    def events(self) -> list[str]:
        """What happened to the probe."""
        return [row["event"] for row in self.of("probe")]
