"""What a dissector is: the layout of one payload, all messages of its types in a batch dissected at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar, Self

import numpy as np

from peerwatch.schema.batch import Array
from peerwatch.schema.table import Table


class WireError(IntEnum):
    """What can be wrong with a payload that a peer sent. The first that applies is kept; everything before it is, too.

    Attributes:
        meaning: a sentence, for everybody who looks at `message.error` or `weird.kind`.
        source: where the rule is defined.
    """

    meaning: str
    source: str

    def __new__(cls, code: int, meaning: str = "", source: str = "") -> Self:
        """A code with its meaning."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning, member.source = meaning, source
        return member

    NONE = 0, "The payload is well formed.", ""
    TRUNCATED = 1, "The payload ends inside a field: the sender sent too little.", "the layout of the message"
    TRAILING = 2, "Bytes are left after the last field.", "the layout of the message"
    OVER_LIMIT = 3, "A count or length exceeds what the protocol allows.", "the limit of the field, from BIP or Core"
    NON_CANONICAL = 4, "A compact size is not in its shortest form.", "Core, serialize.h: ReadCompactSize"
    BAD_ADDRESS_LENGTH = 5, "An address whose length does not fit its network.", "BIP 155"
    UNKNOWN_FLAG = (
        6,
        "A transaction announces optional data of a kind that nobody knows.",
        "Core, primitives/transaction.h: UnserializeTransaction",
    )
    SUPERFLUOUS_WITNESS = (
        7,
        "A transaction announces witnesses, and all of them are empty.",
        "Core, primitives/transaction.h: UnserializeTransaction",
    )
    INDEX_OVERFLOW = (
        8,
        "Differentially encoded indexes go beyond 16 bits or the end of their list.",
        "BIP 152; Core, blockencodings.h: DifferenceFormatter, blockencodings.cpp: InitData",
    )
    OVERSIZED = 9, "The payload is longer than any node accepts.", "Core, net.h: MAX_PROTOCOL_MESSAGE_LENGTH"


MAX_PROTOCOL_MESSAGE_LENGTH = 4_000_000
"""Longest payload that a node accepts, bytes (Core, net.h)."""


@dataclass(frozen=True, slots=True)
class Payloads:
    """Payloads of one dissector's types: columns with one entry a message (see RawMessages), and the secret for `item` hashes."""

    buf: Array
    start: Array
    kept: Array
    size: Array
    type: Array
    names: list[str]
    key: bytes

    def __len__(self) -> int:
        """Number of payloads."""
        return len(self.start)

    def kinds(self, types: Sequence[str]) -> Array:
        """For each payload, which of `types` it is (int16, position there)."""
        position = np.full(len(self.names), -1, np.int16)
        for number, name in enumerate(types):
            position[self.names.index(name)] = number
        return np.asarray(position[self.type])


@dataclass(frozen=True, slots=True)
class Dissected:
    """What a dissector made of payloads.

    `columns`: the table's own columns without those the caller knows (identity, ts, seq, peer, inbound); one that can be null may
    be left out. `message`: for each row the index of its payload, never decreasing. `error`: a WireError code for each payload.
    """

    columns: Mapping[str, Any]
    message: Array
    error: Array


class Dissector(ABC):
    """One payload layout; found by walking `wire/messages`. What it makes of a payload depends on nothing but that payload."""

    types: ClassVar[tuple[str, ...]]
    """Message types with this layout."""
    table: ClassVar[type[Table] | None]
    """Table that it fills; several may fill the same. None when all that such a message says is its type."""
    needs: ClassVar[int]
    """Payload bytes at the start that it needs at most; a source need not keep more."""
    needs_sent: ClassVar[int | None] = None
    """The same for messages that the node sent, where fewer will do: its own are well formed. None for as many."""
    source: ClassVar[str]
    """Where the layout is defined (BIP or Core)."""

    @abstractmethod
    def dissect(self, payloads: Payloads) -> Dissected:
        """Dissect all payloads at once. Never raises because of their content; never reads past `kept`."""
