"""What the tracer and the watcher say to each other, and the socket that it goes through.

The tracer writes numbered *facts* (`Process`, `Exited`, `Blind`). Each connection starts with `Hello`, which carries the
descriptors, and then brings all facts that are still of use, in order, so that either watcher, the first or one that follows a
`kill -9`, knows the same. A watcher says `Recorded` after each commit; a fact that it has seen before still tells which slot is
whose, but makes no second row.

Messages are JSON in packets of a Unix socket (SOCK_SEQPACKET): one packet a message, never more than `MAX_PACKET` bytes.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import stat
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta, Struct

PROTOCOL = 1
"""Both ends must speak the same; there is no negotiation within one installation."""

MAX_PACKET = 64 << 10
MAX_DESCRIPTORS = 3
SO_PEERGROUPS = 59
"""From include/uapi/asm-generic/socket.h; the socket module does not have it."""
MAX_GROUPS = 256
"""What Python's getsockopt has room for; of a user in more groups, only the first counts."""

Count = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
Slot = Annotated[int, Meta(ge=0, lt=1 << 16)]
Text = Annotated[str, Meta(max_length=4096)]


class Hello(Struct, tag="hello", frozen=True, forbid_unknown_fields=True):
    """First message of every connection; the descriptors come with it."""

    protocol: int
    session: Count
    """UTC ns at which the BPF program was loaded; slots and numbers of facts start over with it."""
    ring_bytes: Count
    starts: Count = 0
    """Watchers before this one."""
    barren: Count = 0
    """How many of the last ones, in a row, recorded nothing: what lies in the ring may be what ends them."""
    last_end: Text = ""
    """How the last one ended, such as `signal 9`."""


class Process(Struct, tag="process", frozen=True, forbid_unknown_fields=True):
    """A process and whose it is. Comes a second time, as a new fact, when a process seen before fires its first probe."""

    number: Count
    tgid: Count
    slot: Slot | None
    """Slot of its records; None while it has fired no probe."""
    ours: bool
    """False when it is no node of ours, or was gone before that could be told: its records make no rows."""
    key: Text
    """What stays the same when the node is restarted; empty when not ours."""
    node: Text | None
    """Configured name; None for a node that was found, whose name the watcher gives by `key`."""
    session: Count
    """UTC ns from which it is counted: its start, or when its binary was attached, if later. Never after its first event."""
    started: Count | None
    """UTC ns of its start."""
    event: str
    """`started` when its binary was attached before, so that nothing of it is missed, else `found`."""
    binary: Text | None
    """Path of its executable, printable."""
    chain: Text | None
    """main, test, testnet4, signet or regtest, where its arguments tell."""
    attached: tuple[str, ...] = ()
    """Probes attached, by full name."""
    missing: dict[str, Text] = {}
    """Probes that are not, and why."""
    gap: tuple[Count, Count] | None = None
    """When the node ran before: UTC ns at which its former process went away, and of the first hit of this one."""
    reason: Text = ""
    """Why it is not ours."""


class Exited(Struct, tag="exited", frozen=True, forbid_unknown_fields=True):
    """A process of ours went away. Everything that it fired was in the ring before."""

    number: Count
    tgid: Count
    slot: Slot | None
    key: Text
    node: Text | None
    session: Count
    ts: Count


class Blind(Struct, tag="blind", frozen=True, forbid_unknown_fields=True):
    """Something that cannot be seen: a row of table `loss`."""

    number: Count
    ts: Count
    first: Count
    last: Count
    probe: Text | None
    key: Text | None
    """Node concerned; None when it is the source as a whole."""
    node: Text | None
    reason: Text


class Who(Struct, tag="who", frozen=True, forbid_unknown_fields=True):
    """From the watcher: look at once who has this slot. Answered with its `Process`."""

    slot: Slot


class Recorded(Struct, tag="recorded", frozen=True, forbid_unknown_fields=True):
    """From the watcher: everything up to this fact is in the archive (0: no fact, but something)."""

    number: Count


Fact = Process | Exited | Blind
FromTracer = Hello | Process | Exited | Blind
FromWatcher = Who | Recorded

_encoder = msgspec.json.Encoder()
_from_tracer = msgspec.json.Decoder(FromTracer)
_from_watcher = msgspec.json.Decoder(FromWatcher)


class LinkError(Exception):
    """The other end broke the protocol, or is not who it must be."""


class LinkClosedError(LinkError):
    """The other end is gone."""


class Descriptors(NamedTuple):
    """Map descriptors, good for `mmap` only."""

    ring: int
    slots: int
    control: int


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends: the tracer's and the watcher's."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(sock: socket.socket, message: FromTracer | FromWatcher, descriptors: Sequence[int] = ()) -> bool:
    """Send one message without waiting.

    Returns:
        False when the other end does not read and there is no room.

    Raises:
        LinkClosedError: the other end is gone.
        LinkError: the message is over `MAX_PACKET`.
    """
    packet = _encoder.encode(message)
    if len(packet) > MAX_PACKET:
        raise LinkError(f"a message of {len(packet)} bytes is too big")
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"={len(descriptors)}i", *descriptors))] if descriptors else []
    try:
        sock.sendmsg([packet], rights, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    except BlockingIOError:
        return False
    except OSError as error:
        raise LinkClosedError(f"the other end is gone: {error.strerror}") from error
    return True


def requests(sock: socket.socket, most: int = 64) -> Iterator[FromWatcher]:
    """What the watcher has said, without waiting; at most `most` messages, so that it cannot keep the tracer from its work.

    Descriptors are not accepted.

    Raises:
        LinkClosedError: the watcher is gone.
        LinkError: it broke the protocol.
    """
    for _ in range(most):
        try:
            # Room for the credentials of no descriptor: the kernel drops any that come.
            packet, _rights, flags, _address = sock.recvmsg(MAX_PACKET, 0, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError as error:
            raise LinkClosedError(f"the watcher is gone: {error.strerror}") from error
        if not packet:
            raise LinkClosedError("the watcher is gone")
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise LinkError("the watcher sent too much")
        try:
            yield _from_watcher.decode(packet)
        except msgspec.DecodeError as error:
            raise LinkError(f"the watcher sent what is no request: {error}") from None


class Link:
    """The watcher's end."""

    def __init__(self, sock: socket.socket) -> None:
        """Take over a connected socket."""
        self._sock = sock
        self._descriptors: Descriptors | None = None

    @property
    def descriptors(self) -> Descriptors:
        """The maps; they are this link's, and closed with it.

        Raises:
            LinkError: `Hello` has not come yet.
        """
        if self._descriptors is None:
            raise LinkError("the tracer has not said hello yet")
        return self._descriptors

    def fileno(self) -> int:
        """For `select` and the like: readable when there is a message."""
        return self._sock.fileno()

    def receive(self, timeout_s: float = 0.0) -> FromTracer | None:
        """The next message, or None when none comes within the time.

        Raises:
            LinkClosedError: the tracer is gone.
            LinkError: it broke the protocol, or speaks another version of it.
        """
        if timeout_s > 0:
            select.select([self._sock], [], [], timeout_s)
        try:
            packet, rights, flags, _ = self._sock.recvmsg(
                MAX_PACKET, socket.CMSG_SPACE(4 * MAX_DESCRIPTORS), socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return None
        except OSError as error:
            raise LinkClosedError(f"the tracer is gone: {error.strerror}") from error
        received = _received(rights)
        try:
            return self._accept(packet, received, flags)
        except LinkError:
            _close(received)
            raise

    def _accept(self, packet: bytes, received: list[int], flags: int) -> FromTracer:
        if not packet:
            raise LinkClosedError("the tracer is gone")
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise LinkError("the tracer sent too much")
        try:
            message: FromTracer = _from_tracer.decode(packet)
        except msgspec.DecodeError as error:
            raise LinkError(f"the tracer sent what is no message: {error}") from None
        is_hello = isinstance(message, Hello)
        if is_hello != (self._descriptors is None) or len(received) != (len(Descriptors._fields) if is_hello else 0):
            raise LinkError("the tracer did not begin with hello and its descriptors, or sent them twice")
        if isinstance(message, Hello):
            if message.protocol != PROTOCOL:
                raise LinkError(f"the tracer speaks protocol {message.protocol}, and this is {PROTOCOL}: restart both")
            self._descriptors = Descriptors(*received)
        return message

    def send(self, message: FromWatcher) -> bool:
        """Send a request without waiting; False when the tracer has no room for more.

        Raises:
            LinkClosedError: the tracer is gone.
        """
        return send(self._sock, message)

    def close(self) -> None:
        """Close the socket and the descriptors. May be called twice."""
        self._sock.close()
        if self._descriptors is not None:
            _close(self._descriptors)
            self._descriptors = None


def _received(rights: list[tuple[int, int, bytes]]) -> list[int]:
    """Descriptors in control messages."""
    found: list[int] = []
    for level, kind, data in rights:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found += struct.unpack(f"={len(data) // 4}i", data[: len(data) // 4 * 4])
    return found


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def connect(path: Path) -> socket.socket:
    """Connect to a tracer that runs on its own; the socket is for a `Link`.

    Raises:
        LinkClosedError: there is no tracer.
        LinkError: what listens is not the owner of the folder, nor root, nor this user, so it is no tracer of ours.
    """
    with contextlib.ExitStack() as undo:
        sock = undo.enter_context(_socket())
        try:
            sock.connect(str(path))
            allowed = {0, os.getuid(), path.parent.stat().st_uid}
        except OSError as error:
            raise LinkClosedError(f"no tracer listens at {path}: {error.strerror}") from error
        if (uid := _peer(sock)[0]) not in allowed:
            raise LinkError(f"{path} is served by user {uid}, who owns neither the folder nor this process")
        undo.pop_all()
    return sock


def listen(path: Path, group: int | None = None) -> socket.socket:
    """Listen for a watcher, which must be this user or root, or a member of `group`; see `accept`.

    The folder must be this user's and closed to others: the kernel then lets nobody else near the socket.

    Raises:
        LinkError: the folder is not, or somebody listens there already.
    """
    with contextlib.ExitStack() as undo:
        sock = undo.enter_context(_socket())
        try:
            folder = path.parent.stat()
            if folder.st_uid != os.geteuid() or folder.st_mode & (stat.S_IRWXO | stat.S_IWGRP):
                raise LinkError(f"{path.parent} must belong to this user and be closed to others (mode 0700 or 0750)")
            if path.is_socket():
                if _answers(path):
                    raise LinkError(f"another tracer listens at {path}")
                path.unlink()
            sock.bind(str(path))
            path.chmod(0o600 if group is None else 0o660)
            if group is not None:
                os.chown(path, -1, group)
            sock.listen(4)
        except OSError as error:
            raise LinkError(f"cannot listen at {path}: {error.strerror}") from error
        sock.setblocking(False)
        undo.pop_all()
    return sock


def accept(listener: socket.socket, group: int | None = None) -> socket.socket | None:
    """Take a watcher that knocks; None when there is none, or it is nobody who may.

    Raises:
        LinkError: somebody knocked who may not; the connection is closed.
    """
    try:
        sock, _ = listener.accept()
    except OSError:
        return None
    uid, groups = _peer(sock)
    if uid in (0, os.geteuid()) or (group is not None and group in groups):
        return sock
    sock.close()
    raise LinkError(f"a watcher of user {uid} was turned away: it is not in the group of the socket")


def _socket() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def _answers(path: Path) -> bool:
    with _socket() as other:
        return other.connect_ex(str(path)) == 0


def _peer(sock: socket.socket) -> tuple[int, set[int]]:
    """User and groups of the process that made the other end, as they were then (SO_PEERCRED, SO_PEERGROUPS)."""
    _pid, uid, gid = struct.unpack("=iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    groups = b""
    with contextlib.suppress(OSError):
        groups = sock.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, 4 * MAX_GROUPS)
    return int(uid), {int(gid), *struct.unpack(f"={len(groups) // 4}I", groups)}
