"""Rows to record: what they are follows from their numbers alone, so that any copy of them can be checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from peerwatch.schema.table import Identity
from peerwatch.schema.tables.message import Message
from peerwatch.schema.tables.ping import Ping
from peerwatch.store.archive import Archive

START = 1_700_000_000_000_000_000
WHO = Identity("node-a", START, "usdt")
TYPES = ["inv", "tx", "ping", "addrv2", "\\x01odd"]

Rows = Callable[..., dict[str, pa.RecordBatch]]


def tables(first: int, count: int, identity: Identity = WHO, step_ns: int = 1_000_000) -> dict[str, pa.RecordBatch]:
    """Messages number `first` to `first + count - 1`, and a ping for every tenth of them."""
    seq = np.arange(first, first + count)
    ts = START + seq * step_ns
    codes = (seq % len(TYPES)).tolist()
    message = {
        "ts": ts,
        "seq": seq,
        "peer": seq % 7,
        "inbound": seq % 2 == 0,
        "type": [TYPES[code] for code in codes],
        "size": (seq % 1000).astype(np.uint32),
        "kept": (seq % 1000).astype(np.uint32),
        "unreadable": np.zeros(count, bool),
        "error": [None if s % 3 else "trailing" for s in seq.tolist()],
    }
    tenth = seq % 10 == 0
    ping = {
        "ts": ts[tenth],
        "seq": seq[tenth],
        "peer": seq[tenth] % 7,
        "inbound": tenth[tenth],
        "pong": tenth[tenth],
        "nonce": seq[tenth].astype(np.uint64),
    }
    return {"message": Message.build(identity, message), "ping": Ping.build(identity, ping)}


@pytest.fixture
def rows() -> Rows:
    """The function `tables` above."""
    return tables


@pytest.fixture
def who() -> Identity:
    """Whose rows they are."""
    return WHO


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A new archive, empty and closed."""
    path = tmp_path / "archive"
    Archive.create_or_open(path).close()
    return path
