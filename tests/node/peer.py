"""A peer whose every message the test says, over v1 and over v2 (BIP 324), and which counts what goes either way.

The transport is btclib's, not ours. Nothing here runs by itself: what the node sends waits in the socket until it is read.
"""

from __future__ import annotations

import secrets
import socket
import struct
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Self

from btclib.hashes import hash256
from btclib.p2p import NetworkAddress, Version, magic_from_network
from btclib.p2p.bip324 import HEADER_LEN, LENGTH_LEN, Cipher, contents_from_message, message_from_contents
from ecc.ecc import ellswift

MAGIC = magic_from_network("regtest")
LOOPBACK = "127.0.0.1"
TIMEOUT_S = 20.0
HEADER = struct.Struct("<4s12sI4s")
KEY, TERMINATOR, TAG = 64, 16, 16
AGENT = b"/scripted:1.0/"
GARBAGE = 33
"""Bytes of garbage that we send in a v2 handshake; any number up to 4095 would do."""

Counts = Counter[tuple[bool, str]]
"""By whether the node received it, and type."""


def frame(kind: str, payload: bytes, *, magic: bytes = MAGIC, checksum: bytes | None = None, size: int | None = None) -> bytes:
    """A message of the v1 transport; anything of its header may be wrong."""
    right = hash256(payload)[:4]
    name = kind.encode("latin-1").ljust(12, b"\0")
    return HEADER.pack(magic, name, len(payload) if size is None else size, checksum or right) + payload


@dataclass
class Peer:
    """One connection to a node, as its other end."""

    sock: socket.socket
    opened_by_us: bool = True
    name: str = ""
    """Address and port by which the node knows it."""
    cipher: Cipher | None = None
    """Of a v2 connection."""
    messages: Counts = field(default_factory=Counter)
    payload: Counts = field(default_factory=Counter)
    """Bytes of payloads."""
    handshake_bytes: Counter[bool] = field(default_factory=Counter)
    """Bytes of the v2 handshake, by whether the node received them."""

    @classmethod
    def connect(cls, port: int, *, v2: bool = False) -> Peer:
        """An inbound peer of the node that listens there; nothing is said yet, but for the v2 handshake."""
        return cls._over(socket.create_connection((LOOPBACK, port), TIMEOUT_S), opened_by_us=True, v2=v2)

    @classmethod
    def accept(cls, listener: socket.socket, *, v2: bool = False) -> Peer:
        """An outbound peer of the node that connects to `listener`."""
        listener.settimeout(TIMEOUT_S)
        sock, _ = listener.accept()
        sock.settimeout(TIMEOUT_S)
        return cls._over(sock, opened_by_us=False, v2=v2)

    @classmethod
    def _over(cls, sock: socket.socket, *, opened_by_us: bool, v2: bool) -> Peer:
        peer = cls(sock, opened_by_us, "{}:{}".format(*sock.getsockname()))
        try:
            if v2:
                peer._agree_on_keys()
        except BaseException:
            sock.close()
            raise
        return peer

    def send(self, kind: str, payload: bytes = b"") -> None:
        """Say something."""
        if self.cipher is None:
            self.sock.sendall(frame(kind, payload))
        else:
            self.sock.sendall(self.cipher.encrypt(contents_from_message(kind, payload)))
        self.messages[True, kind] += 1
        self.payload[True, kind] += len(payload)

    def send_raw(self, data: bytes) -> None:
        """Write bytes; nothing is counted."""
        self.sock.sendall(data)

    def send_contents(self, contents: bytes, *, ignore: bool = False) -> None:
        """Send a packet of the v2 transport with any contents; nothing is counted."""
        assert self.cipher is not None
        self.sock.sendall(self.cipher.encrypt(contents, ignore=ignore))

    def send_forged(self, kind: str, payload: bytes) -> None:
        """Send a packet of the v2 transport that was changed on its way; nothing is counted."""
        assert self.cipher is not None
        packet = self.cipher.encrypt(contents_from_message(kind, payload))
        self.sock.sendall(packet[:-1] + bytes([packet[-1] ^ 1]))

    def receive(self) -> tuple[str, bytes]:
        """The next message.

        Raises:
            EOFError: the node has closed the connection.
            TimeoutError: it says nothing.
        """
        kind, payload = self._receive_v1() if self.cipher is None else message_from_contents(self._packet())
        self.messages[False, kind] += 1
        self.payload[False, kind] += len(payload)
        return kind, payload

    def until(self, wanted: str) -> bytes:
        """Payload of the next message of a type; pings before it are answered."""
        while True:
            kind, payload = self.receive()
            if kind == "ping" and wanted != "ping":
                self.send("pong", payload)
            if kind == wanted:
                return payload

    def handshake(self, *between: str, relay: bool = True, services: int = 0, height: int = 0) -> None:
        """Exchange versions; `between` are messages to say before `verack`."""
        version = Version(
            timestamp=int(time.time()),
            services=services,
            addr_recv=NetworkAddress(),
            nonce=secrets.randbits(64),
            user_agent=AGENT,
            start_height=height,
            relay=relay,
        ).serialize()
        if self.opened_by_us:
            self.send("version", version)
            self.until("version")
        else:
            self.until("version")
            self.send("version", version)
        for kind in between:
            self.send(kind)
        self.send("verack")
        self.until("verack")

    def settle(self) -> None:
        """Until the node has processed everything that was said, and we have read everything that it said before."""
        nonce = secrets.token_bytes(8)
        self.send("ping", nonce)
        while self.until("pong") != nonce:
            pass

    def is_closed(self, seconds: float = TIMEOUT_S) -> bool:
        """Wait until the node closes the connection; false when it says nothing for so long, and does not."""
        self.sock.settimeout(seconds)
        try:
            while True:
                self.receive()
        except TimeoutError:
            return False
        except (EOFError, ConnectionError):
            return True

    def close(self) -> None:
        """Go."""
        self.sock.close()

    def __enter__(self) -> Self:
        """Nothing more."""
        return self

    def __exit__(self, *_: object) -> None:
        """Go."""
        self.close()

    def _read(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            got = self.sock.recv(count - len(data))
            if not got:
                raise EOFError
            data += got
        return bytes(data)

    def _receive_v1(self) -> tuple[str, bytes]:
        magic, kind, size, checksum = HEADER.unpack(self._read(HEADER.size))
        payload = self._read(size)
        assert magic == MAGIC
        assert checksum == hash256(payload)[:4]
        return kind.rstrip(b"\0").decode(), payload

    def _packet(self, aad: bytes = b"") -> bytes:
        assert self.cipher is not None
        while True:
            size = self.cipher.decrypt_length(self._read(LENGTH_LEN))
            contents, ignore = self.cipher.decrypt(self._read(HEADER_LEN + size + TAG), aad)
            aad = b""
            if not ignore:
                return contents

    def _agree_on_keys(self) -> None:
        """The handshake of BIP 324: keys, garbage, terminators and an empty version packet from either side."""
        key = 1 + secrets.randbelow(1 << 255)
        ours, garbage = ellswift.create(key), secrets.token_bytes(GARBAGE)
        self.sock.sendall(ours + garbage)
        theirs = self._read(KEY)
        self.cipher = Cipher(key, ours, theirs, self.opened_by_us, MAGIC)
        packet = self.cipher.encrypt(b"", aad=garbage)
        self.sock.sendall(self.cipher.send_garbage_terminator + packet)
        read = self._read(TERMINATOR)
        while read[-TERMINATOR:] != self.cipher.recv_garbage_terminator:
            read += self._read(1)
        self._packet(aad=read[:-TERMINATOR])
        self.handshake_bytes[True] = KEY + GARBAGE + TERMINATOR + len(packet)
        self.handshake_bytes[False] = KEY + len(read) + len(packet)
