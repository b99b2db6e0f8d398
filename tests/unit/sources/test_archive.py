"""Tests of replaying an archive."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwatch.schema.batch import SECOND
from peerwatch.schema.table import Identity
from peerwatch.schema.tables.address import Address
from peerwatch.schema.tables.ping import Ping
from peerwatch.sources._api import Chunk, Source
from peerwatch.sources.archive import ArchiveSource
from peerwatch.store.archive import Archive
from peerwatch.store.history import History, Piece
from peerwatch.store.writer import Limits

NODES = [Identity("a", 1, "usdt"), Identity("b", 2, "usdt")]

Event = tuple[int, int]
"""(ts, seq)"""


def pings(identity: Identity, events: Sequence[Event]) -> pa.RecordBatch:
    """A ping for each event."""
    ts, seq = zip(*events, strict=True)
    true = [True] * len(ts)
    return Ping.build(identity, {"ts": ts, "seq": seq, "peer": seq, "inbound": true, "pong": true, "nonce": seq})


def addresses(identity: Identity, events: Sequence[Event], each: int) -> pa.RecordBatch:
    """`each` addresses for each event."""
    repeated = [(t, s, i) for t, s in events for i in range(each)]
    ts, seq, idx = zip(*repeated, strict=True)
    constant = {"peer": 1, "inbound": True, "time": 1, "services": 1, "network": "ipv4", "port": 8333}
    columns = {name: [value] * len(ts) for name, value in constant.items()}
    return Address.build(identity, {"ts": ts, "seq": seq, "idx": idx, **columns})


@dataclass
class Memory:
    """A history in memory: for each identity a list of tapes, each a list of batches."""

    tracks: dict[Identity, list[tuple[str, list[pa.RecordBatch]]]]

    def identities(self) -> list[Identity]:
        """All of them."""
        return list(self.tracks)

    def tapes(self, identity: Identity) -> list[tuple[str, Iterator[Piece]]]:
        """Its tapes, a piece a batch."""
        return [(table, self._pieces(batches)) for table, batches in self.tracks[identity]]

    def _pieces(self, batches: list[pa.RecordBatch]) -> Iterator[Piece]:
        lows = [min(b.column("ts").to_pylist()) for b in batches]
        for i, batch in enumerate(batches):
            yield Piece(min(lows[i:]), partial(lambda b: b, batch))


def replay(source: ArchiveSource) -> list[Chunk]:
    """All chunks, in order."""
    chunks: list[Chunk] = []
    while (more := source.read()) is not None:
        chunks += more
    assert source.read() is None
    return chunks


def check(chunks: list[Chunk], expected: dict[Identity, dict[str, list[Event]]], most: int, span: int) -> None:
    """Rows of each identity and table are those expected, in order, and every promise of a chunk holds."""
    for identity, tables in expected.items():
        mine = [c for c in chunks if c.identity == identity]
        watermarks = [c.watermark for c in mine]
        assert watermarks == sorted(watermarks)
        assert [c.ended for c in mine] == [False] * (len(mine) - 1) + [True]
        given: dict[str, list[Event]] = {}
        before = None
        for chunk in mine:
            assert len(chunk.messages) == len(chunk.message_events) == 0
            rows = sum(b.num_rows for b in chunk.rows.values())
            assert rows <= most or len(chunk.events) == 1
            assert (chunk.events[1:] >= chunk.events[:-1]).all()
            if len(chunk.events):
                assert before is None or chunk.events[0] >= before
                before = chunk.events[-1]
                assert chunk.events[0] // span == before // span
                assert before <= chunk.watermark
            assert chunk.rows.keys() == chunk.row_events.keys()
            assert set(np.concatenate([*chunk.row_events.values(), np.zeros(0, int)])) == set(range(len(chunk.events)))
            for table, batch in chunk.rows.items():
                of = chunk.row_events[table]
                assert (np.diff(of) >= 0).all()
                ts = batch.column("ts").to_numpy()
                assert (ts == chunk.events[of]).all()
                given.setdefault(table, []).extend(zip(ts.tolist(), batch.column("seq").to_pylist(), strict=True))
        assert given == {table: sorted(events) for table, events in tables.items() if events}


events = st.lists(st.integers(0, 20 * SECOND), min_size=1, max_size=40).map(lambda times: [(t, s) for s, t in enumerate(times)])


@given(
    tracks=st.lists(st.lists(events, min_size=1, max_size=4), min_size=1, max_size=2),
    piece=st.integers(1, 50),
    most=st.integers(1, 60),
    span=st.sampled_from([SECOND // 7, SECOND, 60 * SECOND]),
)
def test_rows_come_in_order_of_time_whatever_they_lay_in(
    tracks: list[list[list[Event]]], piece: int, most: int, span: int
) -> None:
    """Any tapes, in pieces of any size, with times that go back and forth: each row once, in order, chunks within bounds."""
    recorded: dict[Identity, list[tuple[str, list[pa.RecordBatch]]]] = {}
    expected: dict[Identity, dict[str, list[Event]]] = {}
    for identity, tapes in zip(NODES, tracks, strict=False):
        expected[identity] = {"ping": [], "address": []}
        for number, tape in enumerate(tapes):
            table = "address" if number % 2 else "ping"
            make = partial(addresses, each=3) if number % 2 else pings
            cuts = [tape[i : i + piece] for i in range(0, len(tape), piece)]
            recorded.setdefault(identity, []).append((table, [make(identity, cut) for cut in cuts]))
            expected[identity][table] += tape * (3 if number % 2 else 1)
    check(replay(ArchiveSource(Memory(recorded), most, span)), expected, most, span)


def test_rows_of_one_message_are_one_event() -> None:
    """A ping and addresses of the same time and number share it, and addresses keep their order."""
    who = NODES[0]
    both = [(5, 1), (5, 2), (9, 3)]
    history = Memory({who: [("address", [addresses(who, both[:2], 4)]), ("ping", [pings(who, both)])]})
    (chunk,) = replay(ArchiveSource(history))
    assert chunk.events.tolist() == [5, 5, 9]
    assert chunk.row_events["ping"].tolist() == [0, 1, 2]
    assert chunk.row_events["address"].tolist() == [0] * 4 + [1] * 4
    assert chunk.rows["address"].column("idx").to_pylist() == [0, 1, 2, 3] * 2
    assert chunk.ended


def test_nodes_are_replayed_side_by_side() -> None:
    """Cut at the same moments: none runs ahead, and one that is silent for a while still says how late it is."""
    busy, quiet = NODES
    history = Memory(
        {
            busy: [("ping", [pings(busy, [(s * SECOND, s) for s in range(10)])])],
            quiet: [("ping", [pings(quiet, [(2 * SECOND, 0), (6 * SECOND, 1)])])],
        }
    )
    source = ArchiveSource(history, chunk_span=SECOND)
    seen = []
    while (chunks := source.read()) is not None:
        assert len({c.watermark for c in chunks}) == 1
        seen.append([(c.identity.node, len(c.events), c.watermark // SECOND) for c in chunks])
    assert seen[0] == [("a", 1, 1)]
    assert seen[2] == [("a", 1, 3), ("b", 1, 3)]
    assert seen[4] == [("a", 1, 5), ("b", 0, 5)]
    assert seen[6:8] == [[("a", 1, 7), ("b", 1, 7)], [("a", 1, 8)]]


def test_a_gap_in_what_was_recorded_is_jumped_over() -> None:
    """Years without rows give no chunks."""
    who = NODES[0]
    history = Memory({who: [("ping", [pings(who, [(0, 0), (10**18, 1)])])]})
    chunks = replay(ArchiveSource(history))
    assert [len(c.events) for c in chunks] == [1, 1]
    assert [c.watermark for c in chunks] == [60 * SECOND, 10**18 + SECOND]


def test_a_real_archive_is_replayed_whole(tmp_path: Path) -> None:
    """Sealed and written ahead, through the store's own history."""
    root = tmp_path / "archive"
    expected: dict[Identity, dict[str, list[Event]]] = {n: {"ping": [], "address": []} for n in NODES}
    with Archive.create_or_open(root, Limits(size_bytes=20_000)) as archive:
        writers = {n: archive.writer(n) for n in NODES}
        for i in range(60):
            for n, writer in writers.items():
                now = [(SECOND * (i - i % 3) + s, i * 10 + s) for s in range(10)]
                writer.append({"ping": pings(n, now), "address": addresses(n, now[:2], 20)}, {})
                expected[n]["ping"] += now
                expected[n]["address"] += now[:2] * 20
        chunks = replay(ArchiveSource(History(root, ["ping", "address"]), 100, 5 * SECOND))
    check(chunks, expected, 100, 5 * SECOND)
    assert list(root.rglob("*.parquet"))


def test_it_is_a_source() -> None:
    """Not live, nothing to commit, and closing it ends it, at any time and twice."""
    who = NODES[0]
    source: Source = ArchiveSource(Memory({who: [("ping", [pings(who, [(s * SECOND, s) for s in range(99)])])]}), 10)
    assert (source.name, source.live) == ("archive", False)
    assert source.read()
    source.commit()
    assert list(source.finish()) == []
    source.close()
    source.close()
    assert source.read() is None


def test_damage_is_not_passed_over() -> None:
    """An error of the history comes out of `read`."""

    def broken() -> pa.RecordBatch:
        raise OSError("damaged")

    class Damaged(Memory):
        def tapes(self, identity: Identity) -> list[tuple[str, Iterator[Piece]]]:
            return [("ping", iter([Piece(0, broken)]))] if identity else []

    with pytest.raises(OSError, match="damaged"):
        ArchiveSource(Damaged({NODES[0]: []})).read()
