"""Questions to a day of one node."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np

from bench.figures import Budget, Figure, Scale, Topic
from bench.mix import PEERS, SHARES, START
from bench.player import cached
from peerwatch.schema.batch import SECOND
from peerwatch.schema.table import Identity
from peerwatch.schema.tables.message import Message
from peerwatch.store import seal
from peerwatch.store.archive import Archive
from peerwatch.store.query import Query
from peerwatch.store.writer import Limits
from peerwatch.wire.columns import labels

IDENTITY = Identity("bench", START, "usdt")
DAY_S = 86_400
ROWS = 20_000_000
SEGMENT_S = int(Limits().age_s)

HISTORY = Budget(2.0, 0.3)

QUESTIONS = {
    "per peer and type, from the hours": (
        "SELECT peer, inbound, type, sum(messages), sum(bytes) FROM rate WHERE width = 3600 GROUP BY ALL",
        HISTORY,
    ),
    "per peer and type, from the messages": (
        "SELECT peer, inbound, type, count(*), sum(size) FROM message GROUP BY ALL",
        HISTORY,
    ),
    "one peer by hour and type, from the messages": (
        "SELECT ts // 3600000000000 AS hour, type, count(*), sum(size) FROM message WHERE peer = 7 GROUP BY ALL",
        None,
    ),
    "the messages of one peer in one minute": (
        "SELECT * FROM message WHERE peer = 7 AND ts BETWEEN 1764000060000000000 AND 1764000120000000000",
        None,
    ),
    "how many messages": ("SELECT count(*) FROM message", None),
}


def measure(scale: Scale) -> list[Figure]:
    """Each question several times; the first time is not counted."""
    rows, times = scale.of(ROWS, 100_000), scale.of(7, 1)
    archive = cached(f"day-{rows}", lambda path: _record(path, rows, scale.of(DAY_S, 2 * SEGMENT_S)), __file__, seal.__file__)
    query = Query(archive)
    figures = []
    for name, (sql, budget) in QUESTIONS.items():
        if not query.table(sql).num_rows:
            raise RuntimeError(f"no answer: {sql}")
        figures.append(Figure(name, "s", [_seconds(query, sql) for _ in range(times)], budget))
    return figures


def _seconds(query: Query, sql: str) -> float:
    began = time.monotonic()
    query.table(sql)
    return time.monotonic() - began


def _record(path: Path, rows: int, seconds: int) -> None:
    """Record a day of messages, in segments as they would be."""
    chance = np.random.default_rng(1)
    names = list(SHARES)
    weights = np.array(list(SHARES.values())) / sum(SHARES.values())
    each = rows * SEGMENT_S // seconds
    shutil.rmtree(path, ignore_errors=True)
    with Archive.create_or_open(path, Limits(age_s=0)) as archive:
        writer = archive.writer(IDENTITY)
        for nth in range(seconds // SEGMENT_S):
            size = chance.integers(8, 1000, each).astype(np.uint32)
            columns = {
                "ts": START + nth * SEGMENT_S * SECOND + np.sort(chance.integers(0, SEGMENT_S * SECOND, each)),
                "seq": np.arange(nth * each, (nth + 1) * each),
                "peer": chance.integers(0, PEERS, each),
                "inbound": chance.random(each) < 0.5,
                "type": labels(chance.choice(len(names), each, p=weights).astype(np.int16), names),
                "size": size,
                "kept": size,
                "unreadable": np.zeros(each, bool),
            }
            writer.append({"message": Message.build(IDENTITY, columns)}, {"segment": nth})


TOPIC = Topic(
    "Questions to a day of one node",
    f"""{ROWS:,} rows of `message` in {DAY_S // SEGMENT_S} segments, as a day leaves them, asked by `peerwatch sql`'s engine:
wall time from the question to the whole answer, with opening the archive, on two threads, files in the page cache. Hours and
minutes are the roll-ups in table `rate`, which are made when rows become Parquet.""",
    measure,
)
