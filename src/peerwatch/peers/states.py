"""What a connection may say when: the rules of its states, as data.

A rule names message types and a condition under which they are wrong. Conditions are bits that `handshake.py` works out for each
message of interest; a rule is broken where its bit is set for one of its types. Each gives its source; *Core* is Bitcoin Core's
net_processing.cpp unless another file is named, with the words that it logs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

import numpy as np

from peerwatch.wire.raw import KNOWN_TYPES

TYPE = {name: code for code, name in enumerate(KNOWN_TYPES)}
"""Code of each known type here; independent of the codes of a source."""

UNKNOWN = len(KNOWN_TYPES)
"""Code of all other types."""

FAR = int(np.iinfo(np.int64).max)
"""Ordinal of what has not happened."""

NODE_BLOOM = 1 << 2
NODE_COMPACT_FILTERS = 1 << 6
"""Service bits (Core, protocol.h)."""

BLOCK_RELAY_ONLY = "block-relay-only"
FEELER = "feeler"
"""Connection types of Core without relay of transactions; the first is without relay of addresses, too."""

TRACKED = ("version", "verack", "wtxidrelay", "sendaddrv2", "sendtxrcncl", "getaddr")
"""Types of which the first of each side is remembered for as long as the connection lasts."""

NEGOTIATION = ("wtxidrelay", "sendaddrv2", "sendtxrcncl")
"""Features that are settled before `verack` (BIP 339, 155, 330)."""

BEFORE_VERACK = ("version", "verack", *NEGOTIATION, "sendheaders", "sendcmpct", "sendpackages", "feature")
"""Known types that may come between a side's `version` and its `verack`: what Core processes there, and what BIP 331 and BIP 434
put there."""


class Condition(IntFlag):
    """What can be the case when a message comes. *Sender* is who sent this message."""

    BEFORE_VERSION = 1
    """The sender has not sent `version` yet."""
    BEFORE_VERACK = 2
    """The sender has sent `version`, but not `verack` yet."""
    AFTER_VERACK = 4
    """The sender has sent `verack` before."""
    REPEATED = 8
    """The sender has sent this type before."""
    BY_ACCEPTOR = 16
    """The sender did not open the connection."""
    NO_TX_RELAY = 32
    """The node opened the connection for other purposes than transactions."""
    NO_ADDR_RELAY = 64
    """The node opened the connection for blocks only."""
    NO_BLOOM = 128
    """The receiver said in its `version` that it offers no bloom filters."""
    NO_COMPACT_FILTERS = 256
    """The receiver said in its `version` that it offers no compact block filters."""
    NO_FILTER = 512
    """The receiver offers bloom filters, and the sender has none loaded."""
    RECONCILIATION_ALONE = 1024
    """The sender has sent `sendtxrcncl`, but no `wtxidrelay`."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Types that are wrong under a condition: a kind of `weird`, with its meaning and source."""

    kind: str
    types: tuple[str, ...]
    condition: Condition
    meaning: str
    source: str


RULES = (
    Rule(
        "version_repeated",
        ("version",),
        Condition.REPEATED,
        "A second version on one connection.",
        'Core: "redundant version message"',
    ),
    Rule(
        "before_version",
        tuple(name for name in KNOWN_TYPES if name != "version"),
        Condition.BEFORE_VERSION,
        "A message before the sender's version.",
        'Core: "non-version message before version handshake"',
    ),
    Rule(
        "before_verack",
        tuple(name for name in KNOWN_TYPES if name not in BEFORE_VERACK),
        Condition.BEFORE_VERACK,
        "A message between the sender's version and verack that does not belong there.",
        'Core: "Unsupported message prior to verack"',
    ),
    Rule(
        "verack_repeated",
        ("verack",),
        Condition.REPEATED,
        "A second verack on one connection.",
        'Core: "ignoring redundant verack message"',
    ),
    Rule(
        "negotiation_late",
        NEGOTIATION,
        Condition.AFTER_VERACK,
        "A feature is negotiated after the sender's verack.",
        'Core: "wtxidrelay received after verack" and likewise, disconnects; BIP 155, 330, 339',
    ),
    Rule(
        "negotiation_repeated",
        ("wtxidrelay", "sendtxrcncl"),
        Condition.REPEATED,
        "A feature is negotiated twice.",
        'Core: "ignoring duplicate wtxidrelay", "sendtxrcncl received from already registered peer"',
    ),
    Rule(
        "reconciliation_alone",
        ("verack",),
        Condition.RECONCILIATION_ALONE,
        "A sendtxrcncl that no wtxidrelay came with before the verack.",
        "BIP 330; Core forgets the reconciliation state when verack comes",
    ),
    Rule(
        "getaddr_repeated",
        ("getaddr",),
        Condition.REPEATED,
        "A second getaddr on one connection.",
        'Core: "Ignoring repeated getaddr"',
    ),
    Rule(
        "getaddr_by_acceptor",
        ("getaddr",),
        Condition.BY_ACCEPTOR,
        "A getaddr from the side that did not open the connection.",
        'Core: "Ignoring getaddr from outbound connection"',
    ),
    Rule(
        "tx_not_relayed_here",
        ("inv", "tx"),
        Condition.NO_TX_RELAY,
        "A transaction is sent or announced on a block-relay-only or feeler connection.",
        'Core: RejectIncomingTxs, "transaction sent in violation of protocol", disconnects',
    ),
    Rule(
        "addr_not_relayed_here",
        ("addr", "addrv2"),
        Condition.NO_ADDR_RELAY,
        "Addresses on a block-relay-only connection; Core before v22 sent its own there.",
        "Core: SetupAddressRelay, ignores the message",
    ),
    Rule(
        "bloom_not_offered",
        ("filterload", "filteradd", "filterclear", "mempool"),
        Condition.NO_BLOOM,
        "A bloom filter, or the whole mempool, is wanted of a side that does not offer NODE_BLOOM.",
        'Core: "filterload received despite not offering bloom services", disconnects; BIP 111. '
        "Peers with mempool permission may ask for the mempool nevertheless",
    ),
    Rule(
        "filter_missing",
        ("filteradd",),
        Condition.NO_FILTER,
        "A filteradd without a filterload before, or after a filterclear.",
        'Core: "bad filteradd message", misbehaving',
    ),
    Rule(
        "compact_filters_not_offered",
        ("getcfilters", "getcfheaders", "getcfcheckpt"),
        Condition.NO_COMPACT_FILTERS,
        "Compact block filters are wanted of a side that does not offer NODE_COMPACT_FILTERS.",
        'Core: PrepareBlockFilterRequest, "requested unsupported block filter type", disconnects; BIP 157',
    ),
)  # fmt: skip
"""All rules about when a message may come."""

_LASTING = [
    name for rule in RULES if not rule.condition & (Condition.BEFORE_VERSION | Condition.BEFORE_VERACK) for name in rule.types
]


class Care(IntFlag):
    """Why a connection's messages are looked at; a message is when its type and its connection have a bit in common."""

    OPENING = 1
    """Its handshake is under way: every type."""
    WHOLE = 2
    """It was seen from its beginning: types that are rare, and that rules speak of."""
    REFUSING = 4
    """It relays no transactions or addresses: types that do."""
    NEW = 8
    """Nothing was said on it before: every type."""


_RELAYED = ("inv", "tx", "addr", "addrv2")


def _by_type() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    care = np.full(UNKNOWN + 1, Care.OPENING | Care.NEW, np.uint8)
    conditions = np.zeros(UNKNOWN + 1, np.uint16)
    tracked = np.full(UNKNOWN + 1, -1, np.int64)
    for rule in RULES:
        for name in rule.types:
            conditions[TYPE[name]] |= rule.condition
    for name in _LASTING:
        care[TYPE[name]] |= Care.REFUSING if name in _RELAYED else Care.WHOLE
    for position, name in enumerate(TRACKED):
        tracked[TYPE[name]] = position
    return care, conditions, tracked


CARE, CONDITIONS, TRACK = _by_type()
"""For each type code: its bits of Care, the conditions that are wrong for it, and its position in TRACKED or -1."""
