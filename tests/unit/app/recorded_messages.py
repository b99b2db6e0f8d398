"""An archive of messages that were dissected for real, for tests of what shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from peerwatch.schema.batch import SECOND
from peerwatch.schema.table import Identity
from peerwatch.schema.tables.connection import Connection
from peerwatch.store.archive import Archive
from peerwatch.wire.dissect import dissect
from tests.reference.decode import Sent, raw
from tests.reference.reader import compact_size

START = 1_793_613_600 * SECOND
"""2 November 2026, 10:00 UTC."""

WHO = Identity("alice", START, "usdt")
PEERS = 3


def inventory(kinds: Sequence[int]) -> bytes:
    """Payload of an `inv` of these kinds."""
    return compact_size(len(kinds)) + b"".join(kind.to_bytes(4, "little") + bytes([n % 256]) * 32 for n, kind in enumerate(kinds))


def version(user_agent: bytes, claimed: int | None = None) -> bytes:
    """Payload of a `version` with a user agent, and the length that it is said to have."""
    head = (70016).to_bytes(4, "little") + (0x409).to_bytes(8, "little") + bytes(8 + 26 + 26 + 8)
    length = compact_size(len(user_agent) if claimed is None else claimed)
    return head + length + user_agent + (900_000).to_bytes(4, "little") + b"\1"


def whole(kind: str, payload: bytes) -> Sent:
    """A message of which everything was kept."""
    return kind, payload, len(payload)


def tables(sent: Sequence[Sent], key: bytes, first: int = 0, who: Identity = WHO) -> dict[str, pa.RecordBatch]:
    """Rows of messages, a millisecond apart from START on, with sequence numbers from `first` on, of three peers in turn."""
    messages = raw(sent)
    number = np.arange(first, first + len(sent))
    messages = replace(messages, seq=number, ts=START + number * 1_000_000, peer=number % PEERS, inbound=number % 2 == 0)
    return dissect(who, messages, key).tables


def connections(who: Identity = WHO) -> pa.RecordBatch:
    """The peers, opened before their first message; the last has no address."""
    addresses = ["203.0.113.7:8333", "[2001:db8::1]:8333", None]
    rows = {"ts": [START] * PEERS, "seq": [-3, -2, -1], "peer": [0, 1, 2], "event": ["opened"] * PEERS, "address": addresses}
    return Connection.build(who, rows)


def record(path: Path, sent: Sequence[Sent], who: Identity = WHO) -> Path:
    """An archive that holds messages and their peers, sealed."""
    with Archive.create_or_open(path) as archive:
        rows = tables(sent, archive.inventory_key, who=who) | {"connection": connections(who)}
        archive.writer(who).append(rows, {})
    return path
