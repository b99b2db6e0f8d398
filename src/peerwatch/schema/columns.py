"""What a column is, and the columns that many tables share.

A column says in one place how a value is stored (Arrow type), what it means (semantic, unit, one sentence) and whether a
peer chooses it. Parquet schema, SQL view, docs and dashboards derive from that.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa


class Semantic(StrEnum):
    """What a value means, beyond its storage type."""

    NODE = "node"
    TIME = "time"
    SEQUENCE = "sequence"
    PEER = "peer"
    ADDRESS = "address"
    HASH = "hash"
    BYTES = "bytes"
    DURATION = "duration"
    COUNT = "count"
    FLAG = "flag"
    AMOUNT = "amount"
    LABEL = "label"
    """One of a closed set of values; may be used as a metric label."""
    TEXT = "text"
    NUMBER = "number"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `doc` is a sentence with a full stop; `untrusted` values are chosen by peers and never become a label."""

    doc: str
    arrow: pa.DataType
    semantic: Semantic
    unit: str | None = None
    nullable: bool = False
    untrusted: bool = False


def label(doc: str, *, nullable: bool = False, untrusted: bool = False) -> Column:
    """A short text out of a small set, dictionary-encoded."""
    kind = Semantic.TEXT if untrusted else Semantic.LABEL
    return Column(doc, pa.dictionary(pa.int16(), pa.utf8()), kind, nullable=nullable, untrusted=untrusted)


def text(doc: str, *, nullable: bool = False, untrusted: bool = False) -> Column:
    """Free text."""
    return Column(doc, pa.utf8(), Semantic.TEXT, nullable=nullable, untrusted=untrusted)


def flag(doc: str, *, nullable: bool = False, untrusted: bool = False) -> Column:
    """True or false."""
    return Column(doc, pa.bool_(), Semantic.FLAG, nullable=nullable, untrusted=untrusted)


def count(doc: str, arrow: pa.DataType | None = None, *, unit: str = "1", nullable: bool = False) -> Column:
    """How many of something."""
    return Column(doc, arrow or pa.int64(), Semantic.COUNT, unit=unit, nullable=nullable)


def octets(doc: str, arrow: pa.DataType | None = None, *, nullable: bool = False) -> Column:
    """A size in bytes."""
    return Column(doc, arrow or pa.int64(), Semantic.BYTES, unit="B", nullable=nullable)


def time_ns(doc: str, *, nullable: bool = False) -> Column:
    """A moment, in nanoseconds since 1970 UTC."""
    return Column(doc, pa.int64(), Semantic.TIME, unit="ns", nullable=nullable)


def hash32(doc: str, *, nullable: bool = False) -> Column:
    """A 32-byte hash in the byte order of the wire (reversed against what explorers show)."""
    return Column(doc, pa.binary(32), Semantic.HASH, nullable=nullable, untrusted=True)


NODE = label("Configured name of the node, or a random id kept in the archive; never derived from an address.")
SESSION = Column(
    "When this source began counting for this node; with node and source it scopes seq.", pa.int64(), Semantic.TIME, unit="ns"
)
SOURCE = label("Which source saw the row (usdt, tracer, capture, simulation, detect, recorder …).")
TS = time_ns("When it happened, in UTC; the kernel's clock where the source is the kernel.")
SEQ = Column("Unique and gapless within (node, session, source) of this table's events.", pa.int64(), Semantic.SEQUENCE)
IDX = Column("Position within the message, from 0.", pa.int32(), Semantic.SEQUENCE)
PEER = Column("The node's own peer id; it starts over when the node does.", pa.int64(), Semantic.PEER)
INBOUND = flag("True when the peer sent it to the node, false when the node sent it to the peer.")
