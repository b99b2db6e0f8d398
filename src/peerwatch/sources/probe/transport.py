"""Messages as bytes of a connection and back: v1, and v2 (BIP 324), both with btclib's codecs. No socket is in here.

btclib is optional; without it nothing here works, and `INSTALLED` says so.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from io import BytesIO
from types import MappingProxyType
from typing import Literal, Protocol

from peerwatch.wire.raw import OTHER

try:
    from btclib.exceptions import IncompleteMessageError
    from btclib.p2p import Message, magic_from_network
    from btclib.p2p.bip324 import (
        GARBAGE_TERMINATOR_LEN,
        HEADER_LEN,
        KEY_LEN,
        LENGTH_LEN,
        TAG_LEN,
        Cipher,
        contents_from_message,
        message_from_contents,
    )
    from btclib.p2p.limits import MAX_PROTOCOL_MESSAGE_LENGTH
    from ecc.ecc import ellswift
except ImportError:
    INSTALLED = False
else:
    INSTALLED = True

Kind = Literal["v1", "v2"]
Said = tuple[str, bytes]
"""Type and payload of a message."""

NETWORKS: Mapping[str, str] = MappingProxyType(
    {"main": "mainnet", "test": "testnet", "testnet4": "testnet4", "signet": "signet", "regtest": "regtest"}
)
"""btclib's names of the chains; signet is the default one."""

ELLSWIFT_LEN = 64
"""Bytes of an encoded public key (BIP 324)."""
MAX_GARBAGE = 4095
"""Bytes that may stand before a side's garbage terminator (BIP 324)."""
LONG_TYPE = 1 + 12
"""Bytes of a type that has no short id: a zero byte and the type (BIP 324)."""


class TransportError(Exception):
    """What came is no message of this transport; the text is a sentence."""


class Transport(Protocol):
    """One end of a connection."""

    kind: Kind

    def greeting(self) -> bytes:
        """What is sent before anything else."""

    def feed(self, data: bytes) -> tuple[list[Said], bytes]:
        """Take bytes that came. Returns the messages that are whole now, and what has to be sent at once.

        Raises:
            TransportError: those bytes are no messages; nothing more can be read.
        """

    @property
    def ready(self) -> bool:
        """Whether messages can be sent."""

    def encode(self, kind: str, payload: bytes) -> bytes:
        """A message as bytes."""


def magic_of(chain: str) -> bytes:
    """The four bytes that messages of a chain begin with.

    Raises:
        KeyError: there is no such chain.
    """
    return magic_from_network(NETWORKS[chain])


class V1:
    """The transport without encryption."""

    kind: Kind = "v1"
    ready = True

    def __init__(self, magic: bytes) -> None:
        """Talk on the chain of `magic`."""
        self._magic = magic
        self._buffer = bytearray()
        self._needed = 1

    def greeting(self) -> bytes:
        """Nothing."""
        return b""

    def feed(self, data: bytes) -> tuple[list[Said], bytes]:
        """See `Transport.feed`. At most one message, of 4 MB, is kept until it is whole."""
        self._buffer += data
        said: list[Said] = []
        if not self._magic.startswith(bytes(self._buffer[:4])):
            raise TransportError("The node's messages are not of this chain.")
        if len(self._buffer) < self._needed:
            return said, b""
        stream = BytesIO(self._buffer)
        while True:
            try:
                message = Message.parse(stream)
            except IncompleteMessageError as error:
                self._buffer = self._buffer[stream.tell() :]
                self._needed = len(self._buffer) + error.missing
                return said, b""
            except ValueError as error:
                raise TransportError("The node sent bytes that are no message of transport v1.") from error
            if message.magic != self._magic:
                raise TransportError("The node's messages are not of this chain.")
            said.append((message.command, message.payload))

    def encode(self, kind: str, payload: bytes) -> bytes:
        """See `Transport.encode`."""
        return Message(self._magic, kind, payload).serialize()


class V2:
    """The encrypted transport, as the side that opened the connection. We send no garbage and no decoys."""

    kind: Kind = "v2"

    def __init__(self, magic: bytes) -> None:
        """Talk on the chain of `magic`, with a key of our own for this connection."""
        self._magic = magic
        self._key = secrets.token_bytes(KEY_LEN)
        self._ours = ellswift.create(self._key)
        self._buffer = bytearray()
        self._cipher: Cipher | None = None
        self._aad: bytes | None = None
        """What their first packet authenticates: their garbage; None as long as that has not ended."""
        self._versioned = False
        """Whether their version packet, the first that is no decoy, has come."""
        self._length: int | None = None
        """Bytes of the contents of the packet that is coming."""

    @property
    def ready(self) -> bool:
        """See `Transport.ready`."""
        return self._cipher is not None

    def greeting(self) -> bytes:
        """Our public key."""
        return self._ours

    def feed(self, data: bytes) -> tuple[list[Said], bytes]:
        """See `Transport.feed`. At most one packet, of 4 MB, is kept until it is whole."""
        self._buffer += data
        reply = b""
        if self._cipher is None:
            if len(self._buffer) < ELLSWIFT_LEN:
                return [], b""
            self._cipher = Cipher(self._key, self._ours, self._cut(ELLSWIFT_LEN), initiator=True, magic=self._magic)
            reply = self._cipher.send_garbage_terminator + self._cipher.encrypt(b"")
        if self._aad is None and not self._skip_garbage(self._cipher):
            return [], reply
        said = []
        while (contents := self._packet(self._cipher)) is not None:
            if self._versioned:
                said.append(_message(contents))
            self._versioned = True
        return said, reply

    def encode(self, kind: str, payload: bytes) -> bytes:
        """See `Transport.encode`."""
        assert self._cipher is not None  # noqa: S101 - nothing is encoded before it is ready
        return self._cipher.encrypt(contents_from_message(kind, payload))

    def _cut(self, length: int) -> bytes:
        """Take the first bytes out of the buffer."""
        cut = bytes(self._buffer[:length])
        del self._buffer[:length]
        return cut

    def _skip_garbage(self, cipher: Cipher) -> bool:
        """Whether their garbage has ended."""
        end = self._buffer.find(cipher.recv_garbage_terminator, 0, MAX_GARBAGE + GARBAGE_TERMINATOR_LEN)
        if end >= 0:
            self._aad = self._cut(end)
            self._cut(GARBAGE_TERMINATOR_LEN)
        elif len(self._buffer) >= MAX_GARBAGE + GARBAGE_TERMINATOR_LEN:
            raise TransportError("The node sent bytes that are no handshake of transport v2.")
        return end >= 0

    def _packet(self, cipher: Cipher) -> bytes | None:
        """Contents of the next packet that is no decoy, or None if it is not whole yet."""
        while True:
            if self._length is None:
                if len(self._buffer) < LENGTH_LEN:
                    return None
                self._length = cipher.decrypt_length(self._cut(LENGTH_LEN))
                if self._length > MAX_PROTOCOL_MESSAGE_LENGTH + LONG_TYPE:
                    raise TransportError("The node sent a packet that is longer than any message.")
            rest = HEADER_LEN + self._length + TAG_LEN
            if len(self._buffer) < rest:
                return None
            try:
                contents, is_decoy = cipher.decrypt(self._cut(rest), self._aad or b"")
            except ValueError as error:
                raise TransportError("The node sent a packet that was not encrypted for us.") from error
            self._aad, self._length = b"", None
            if not is_decoy:
                return contents


def _message(contents: bytes) -> Said:
    """Type and payload of a packet; one whose type cannot be read is ignored by its receiver, and is of type `*other*` here."""
    try:
        kind, payload = message_from_contents(contents)
    except ValueError:
        return OTHER, contents
    return kind or OTHER, payload


TRANSPORTS: Mapping[Kind, type[V1 | V2]] = MappingProxyType({"v1": V1, "v2": V2})
