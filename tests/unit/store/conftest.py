"""Rows to record: what they are follows from their numbers alone, so that any copy of them can be checked."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from peerwatch.schema.table import Identity
from peerwatch.schema.tables.message import Message
from peerwatch.schema.tables.ping import Ping
from peerwatch.store import layout
from peerwatch.store.archive import Archive
from peerwatch.store.files import Sealed, in_table
from peerwatch.store.journal import Header
from peerwatch.store.layout import SegmentName
from peerwatch.store.query import Query
from peerwatch.store.recovery import Closed
from peerwatch.store.seal import seal
from peerwatch.store.wal import Segment, boot

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


def segment(root: Path, number: int, rows: dict[str, pa.RecordBatch], identity: Identity = WHO) -> Closed:
    """A segment with one commit, of that number, which is not sealed."""
    header = Header(identity.node, identity.session, identity.source, number, boot(), {}, {})
    made = Segment.create(root, header)
    made.append(rows, {}, {})
    made.close()
    return Closed(SegmentName(identity, number), made.path, header, made.last)


def sealed(
    root: Path, count: int, each: int = 20, identity: Identity = WHO, *, first: int = 0, step_ns: int = 1_000_000
) -> list[Path]:
    """Seal `count` segments of `each` messages; return the files, within the archive."""
    numbers = range(first, first + count)
    return [f for n in numbers for f in seal(root, segment(root, n, tables(n * each, each, identity, step_ns), identity))]


def holds(root: Path, messages: int) -> None:
    """A reader sees exactly the messages from 0 on, each once, and the pings and roll-ups that belong to them."""
    ask = Query(root).table
    assert ask("SELECT seq FROM message ORDER BY seq")["seq"].to_pylist() == list(range(messages))
    assert ask("SELECT seq FROM ping ORDER BY seq")["seq"].to_pylist() == list(range(0, messages, 10))
    sums = "SELECT width, sum(messages)::INT AS n, sum(bytes)::INT AS b FROM rate GROUP BY width ORDER BY width"
    size = sum(n % 1000 for n in range(messages))
    assert ask(sums).to_pylist() == [{"width": width, "n": messages, "b": size} for width in (60, 3600)]


def files(root: Path, table: str) -> list[Sealed]:
    """All Parquet files of a table."""
    return list(in_table(root, table))


class Steps:
    """Copies a directory before each step that changes it: what is there if the process is killed at that moment."""

    def __init__(self, root: Path, states: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Watch `root`; copies go to `states`."""
        self.folder = states
        self.states: list[Path] = []
        for owner, name in ((Path, "rename"), (Path, "unlink"), (Path, "rmdir"), (layout, "sync"), (shutil, "rmtree")):
            monkeypatch.setattr(owner, name, self._watched(getattr(owner, name), root, states))

    def _watched(self, step: Callable[..., object], root: Path, states: Path) -> Callable[..., object]:
        def watched(*arguments: object, **options: object) -> object:
            if Path(str(arguments[0])).is_relative_to(root):
                state = states / str(len(self.states))
                self.states.append(state)
                shutil.copytree(root, state)
            return step(*arguments, **options)

        return watched


@pytest.fixture
def steps(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Steps]:
    """The states that the archive `root` goes through from now on."""
    with monkeypatch.context() as patched:
        yield Steps(root, tmp_path / "states", patched)
