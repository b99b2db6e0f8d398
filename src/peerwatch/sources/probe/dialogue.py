"""What our peer says, and when: the handshake, an answer to each ping, a ping of its own, and nothing else.

It is honest: it offers no service, names itself, and neither announces nor asks for anything. No socket and no clock is in here.
"""

from __future__ import annotations

import secrets
import struct
from enum import Enum

from peerwatch import __version__
from peerwatch.sources.probe.transport import INSTALLED, Said

if INSTALLED:
    from btclib.p2p import Version

USER_AGENT = f"/peerwatch-probe:{__version__}/".encode()
NONCE = struct.Struct("<Q")
WTXIDRELAY_VERSION = 70016
"""Protocol version from which on both sides may negotiate before `verack` (BIP 339; Core, node/protocol_version.h)."""


class Heard(Enum):
    """What a message of the node meant."""

    HANDSHAKE = "its handshake is over"
    PONG = "our ping is answered"


class Dialogue:
    """One connection."""

    def __init__(self, *, relay: bool, addresses: bool) -> None:
        """Nothing is said yet.

        Args:
            relay: whether the node may announce transactions to us.
            addresses: whether to ask once for addresses. Bitcoin Core 22 and later relays none to an inbound peer that never
                spoke of addresses.
        """
        self._relay = relay
        self._addresses = addresses
        self._met = False
        self._ping: bytes | None = None
        self.is_open = False
        """Whether both sides are through the handshake."""

    @property
    def is_waiting(self) -> bool:
        """Whether a ping of ours is not answered yet."""
        return self._ping is not None

    def opening(self, now_s: int) -> Said:
        """Our `version`, at a time in seconds since 1970. Addresses in it are empty, as Core's are that are not routable."""
        nonce = secrets.randbits(64)
        said = Version(timestamp=now_s, nonce=nonce, user_agent=USER_AGENT, start_height=0, relay=self._relay)
        return "version", said.serialize()

    def ping(self) -> Said:
        """A ping."""
        self._ping = NONCE.pack(secrets.randbits(64))
        return "ping", self._ping

    def hear(self, kind: str, payload: bytes) -> tuple[list[Said], Heard | None]:
        """Take a message of the node. Returns what is said to it, and what it meant; what means nothing to us is passed over."""
        match kind:
            case "version" if not self._met:
                self._met = True
                news = _protocol(payload) >= WTXIDRELAY_VERSION
                return [*([("wtxidrelay", b""), ("sendaddrv2", b"")] if news else []), ("verack", b"")], None
            case "verack" if self._met and not self.is_open:
                self.is_open = True
                return ([("getaddr", b"")] if self._addresses else []), Heard.HANDSHAKE
            case "ping" if self.is_open and len(payload) == NONCE.size:
                return [("pong", payload)], None
            case "pong" if self._ping is not None and payload == self._ping:
                self._ping = None
                return [], Heard.PONG
        return [], None


def _protocol(payload: bytes) -> int:
    """Protocol version that a `version` begins with; 0 for one that is too short."""
    return int.from_bytes(payload[:4], "little", signed=True) if len(payload) >= 4 else 0  # noqa: PLR2004 - bytes of an int32
