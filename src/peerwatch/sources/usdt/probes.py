"""The probes of Bitcoin Core as data: what each passes, and how a record of it looks when it leaves the kernel.

Source: Bitcoin Core, doc/tracing.md (v30). Everything that depends on a probe's arguments derives from this table: the check
before attaching, the argument specifications for BPF, the layout of records, and the play files of the tracepoint player.

A record is `HEADER` and then `kept` bytes. For a message these are its payload; for any other probe its arguments in order,
integers as 8 bytes, texts NUL-padded to their width, hashes as 32 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np


class Kind(Enum):
    """How an argument is passed."""

    INT = "int"
    """A value of `width` bytes."""
    TEXT = "text"
    """A pointer to a C string; a record keeps up to `width` bytes of it, its NUL included."""
    HASH = "hash"
    """A pointer to 32 bytes."""
    PAYLOAD = "payload"
    """A pointer to the message, whose size is the argument before."""


@dataclass(frozen=True, slots=True)
class Arg:
    """One argument: its name, how it is passed, its width in bytes, and whether an integer is signed."""

    name: str
    kind: Kind
    width: int = 8
    signed: bool = False


def _int(name: str, width: int, *, signed: bool) -> Arg:
    return Arg(name, Kind.INT, width, signed)


PEER = _int("peer", 8, signed=True)
ADDRESS = Arg("address", Kind.TEXT, 72)
"""Core documents up to 68 characters, and says that names given by the operator may be longer."""
CONN_TYPE = Arg("conn_type", Kind.TEXT, 24)
NETWORK = _int("network", 4, signed=False)
_TXID = Arg("txid", Kind.HASH, 32)
_MESSAGE = (PEER, ADDRESS, CONN_TYPE, Arg("type", Kind.TEXT, 16), _int("size", 8, signed=False), Arg("payload", Kind.PAYLOAD))
_OPENED = (PEER, ADDRESS, CONN_TYPE, NETWORK, _int("open_connections", 8, signed=False))
_ENDED = (PEER, ADDRESS, CONN_TYPE, NETWORK, _int("established", 8, signed=False))
_COIN = (
    _TXID,
    _int("index", 4, signed=False),
    _int("height", 4, signed=False),
    _int("value", 8, signed=True),
    _int("coinbase", 1, signed=False),
)


@dataclass(frozen=True, slots=True)
class Probe:
    """One tracepoint: `provider:name`, its arguments, and whether BPF only counts it."""

    provider: str
    name: str
    args: tuple[Arg, ...]
    counted: bool = False

    @property
    def full_name(self) -> str:
        """`provider:name`."""
        return f"{self.provider}:{self.name}"

    @property
    def body(self) -> np.dtype[np.void]:
        """Layout of a record's body (not for messages, whose body is the payload)."""
        fields: list[tuple[str, str]] = []
        for arg in self.args:
            kind = {Kind.INT: "<i8" if arg.signed else "<u8", Kind.TEXT: f"S{arg.width}", Kind.HASH: "V32"}[arg.kind]
            fields.append((arg.name, kind))
        return np.dtype(fields)


PROBES = (
    Probe("net", "inbound_message", _MESSAGE),
    Probe("net", "outbound_message", _MESSAGE),
    Probe("net", "inbound_connection", _OPENED),
    Probe("net", "outbound_connection", _OPENED),
    Probe("net", "closed_connection", _ENDED),
    Probe("net", "evicted_inbound_connection", _ENDED),
    Probe("net", "misbehaving_connection", (PEER, Arg("reason", Kind.TEXT, 128))),
    Probe("mempool", "added", (_TXID, _int("vsize", 4, signed=True), _int("fee", 8, signed=True))),
    Probe(
        "mempool",
        "removed",
        (
            _TXID,
            Arg("reason", Kind.TEXT, 16),
            _int("vsize", 4, signed=True),
            _int("fee", 8, signed=True),
            _int("entered", 8, signed=False),
        ),
    ),
    Probe(
        "mempool",
        "replaced",
        (
            _TXID,
            _int("vsize", 4, signed=True),
            _int("fee", 8, signed=True),
            _int("entered", 8, signed=False),
            Arg("replacement", Kind.HASH, 32),
            _int("replacement_vsize", 4, signed=True),
            _int("replacement_fee", 8, signed=True),
            _int("by_transaction", 1, signed=False),
        ),
    ),
    Probe("mempool", "rejected", (_TXID, Arg("reason", Kind.TEXT, 120))),
    Probe(
        "validation",
        "block_connected",
        (
            Arg("hash", Kind.HASH, 32),
            _int("height", 4, signed=True),
            _int("transactions", 8, signed=False),
            _int("inputs", 4, signed=True),
            _int("sigops", 8, signed=False),
            _int("duration", 8, signed=False),
        ),
    ),
    Probe("utxocache", "add", _COIN, counted=True),
    Probe("utxocache", "spent", _COIN, counted=True),
    Probe("utxocache", "uncache", _COIN, counted=True),
    Probe(
        "utxocache",
        "flush",
        (
            _int("duration", 8, signed=True),
            _int("mode", 4, signed=False),
            _int("coins", 8, signed=False),
            _int("memory", 8, signed=False),
            _int("for_prune", 1, signed=False),
        ),
    ),
)
"""A probe's number, in records and play files, is its position here."""

DESCRIBED = len(PROBES)
"""Number of the record that describes a peer which was connected before its connection could be seen."""

DESCRIBED_BODY = np.dtype([("address", f"S{ADDRESS.width}"), ("conn_type", f"S{CONN_TYPE.width}")])

HEADER = np.dtype(
    [
        ("ts", "<u8"),  # ns, CLOCK_MONOTONIC
        ("seq", "<u8"),  # gapless per slot
        ("peer", "<i8"),  # 0 where the probe has none
        ("size", "<u8"),  # bytes of the message on the wire; 0 for other probes
        ("kept", "<u4"),  # bytes after the header
        ("slot", "<u2"),  # which process; see slots
        ("probe", "u1"),  # number in PROBES, or DESCRIBED
        ("flags", "u1"),  # UNREADABLE
        ("type", "V16"),  # message type, NUL-padded
    ]
)

UNREADABLE = 1
"""Flag: a page of the payload or of a text could not be read (not resident); the bytes are zeros."""

PLAY_MAGIC = b"PWPLAY1\n"
PLAY_EXIT = 0xF0
PLAY_RESTART = 0xF1
