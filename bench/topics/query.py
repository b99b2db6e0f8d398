"""Questions to a day of one node, as segments leave it, put together, and while more is recorded."""

from __future__ import annotations

import multiprocessing
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bench.figures import Budget, Figure, Scale, Topic
from bench.mix import BUSY, PEERS, SHARES, START
from bench.player import cached, workplace
from peerwatch.schema.batch import SECOND
from peerwatch.schema.table import Identity
from peerwatch.schema.tables.message import Message
from peerwatch.store import compaction, layout, parquet, seal, upkeep
from peerwatch.store.archive import Archive
from peerwatch.store.journal import Header
from peerwatch.store.layout import SegmentName
from peerwatch.store.query import Query
from peerwatch.store.recovery import Closed
from peerwatch.store.upkeep import Upkeep
from peerwatch.store.wal import Segment, boot
from peerwatch.store.writer import Limits
from peerwatch.wire.columns import labels

IDENTITY = Identity("bench", START, "usdt")
DAY_S = 86_400
ROWS = 20_000_000
SEGMENT_S = int(Limits().age_s)

HISTORY = Budget(2.0, 0.3)

PER_HOUR = {
    "per peer, type and hour, from the hours": (
        "SELECT ts, peer, inbound, type, sum(messages), sum(bytes) FROM rate WHERE width = 3600 GROUP BY ALL"
    ),
    "per peer, type and hour, from the messages": (
        "SELECT ts // 3600000000000 AS hour, peer, inbound, type, count(*), sum(size) FROM message GROUP BY ALL"
    ),
}
"""Asked while rows are being recorded, too."""
QUESTIONS = {
    **{name: (sql, HISTORY) for name, sql in PER_HOUR.items()},
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
    rows, times, seconds = scale.of(ROWS, 100_000), scale.of(7, 1), scale.of(DAY_S, 13 * SEGMENT_S)
    code = (__file__, seal.__file__, parquet.__file__, compaction.__file__, upkeep.__file__)
    apart = cached(f"day-apart-{rows}", lambda path: _record(path, rows, seconds), *code)
    together = cached(f"day-{rows}", lambda path: _put_together(apart, path), *code)
    spent = [_put_together(apart, None) for _ in range(scale.of(3, 1))]
    figures = [
        Figure("files, as segments leave them", "files", [_files(apart)]),
        Figure("files, put together", "files", [_files(together)]),
        Figure("putting together, a row of `message` with its roll-ups", "µs CPU", [1e6 * s / rows for s in spent]),
    ]
    for name, (sql, budget) in QUESTIONS.items():
        figures += [
            Figure(name, "s", _asked(together, sql, times), budget),
            Figure(f"{name}, files as segments leave them", "s", _asked(apart, sql, times)),
        ]
    with _recording(together, scale.of(20, 2)) as growing:
        figures += [
            Figure(f"{name}, while {BUSY:,} messages/s are recorded", "s", _asked(growing, sql, scale.of(25, 1)), HISTORY)
            for name, sql in PER_HOUR.items()
        ]
    return figures


def _asked(archive: Path, sql: str, times: int) -> list[float]:
    """Seconds of each of several answers, after a first one."""
    query = Query(archive)
    if not query.table(sql).num_rows:
        raise RuntimeError(f"no answer: {sql}")
    return [_seconds(query, sql) for _ in range(times)]


def _seconds(query: Query, sql: str) -> float:
    began = time.monotonic()
    query.table(sql)
    return time.monotonic() - began


def _files(archive: Path) -> float:
    return float(sum(1 for _ in archive.rglob("*.parquet")))


def _put_together(apart: Path, kept: Path | None) -> float:
    """Put together what is in a copy of an archive, and keep it or not; CPU seconds."""
    with workplace() as folder:
        copy = Path(shutil.copytree(apart, folder / "archive"))
        keeper = Upkeep(copy)
        began = time.process_time()
        keeper.sealed(IDENTITY, [path.relative_to(copy) for path in copy.rglob("*.parquet")])
        for _ in keeper.round():
            pass
        spent = time.process_time() - began
        if keeper.failure:
            raise RuntimeError(keeper.failure)
        if kept is not None:
            shutil.copytree(copy, kept)
    return spent


@contextmanager
def _recording(archive: Path, warm_s: int) -> Iterator[Path]:
    """A copy of an archive into which another process records, seals every second and puts files together every twelve."""
    context = multiprocessing.get_context("spawn")
    with workplace() as folder:
        copy = Path(shutil.copytree(archive, folder / "archive"))
        recorder = context.Process(target=_record_on, args=(copy,), daemon=True)
        recorder.start()
        try:
            time.sleep(warm_s)
            yield copy
            if not recorder.is_alive():
                raise RuntimeError("the recorder ended")
        finally:
            recorder.kill()
            recorder.join()


def _record_on(path: Path) -> None:
    """Record messages until killed, ten times a second."""
    each, parts = BUSY // 10, 10
    columns = _columns(np.random.default_rng(2), each, 0, SECOND // parts, 0)
    identity = Identity(IDENTITY.node, IDENTITY.session + 1, IDENTITY.source)
    with Archive.create_or_open(path, Limits(age_s=1.0)) as archive:
        writer = archive.writer(identity)
        began = time.monotonic()
        for nth in range(1 << 40):
            at = START + DAY_S * SECOND + nth * SECOND // parts
            moved = {**columns, "ts": columns["ts"] + (at - START), "seq": columns["seq"] + nth * each}
            writer.append({"message": Message.build(identity, moved)}, {"part": nth})
            time.sleep(max(0.0, began + (nth + 1) / parts - time.monotonic()))


def _record(path: Path, rows: int, seconds: int) -> None:
    """Record a day of messages, each segment sealed by itself."""
    chance = np.random.default_rng(1)
    each = rows * SEGMENT_S // seconds
    shutil.rmtree(path, ignore_errors=True)
    Archive.create_or_open(path).close()
    for nth in range(seconds // SEGMENT_S):
        header = Header(IDENTITY.node, IDENTITY.session, IDENTITY.source, nth, boot(), {}, {})
        segment = Segment.create(path, header)
        columns = _columns(chance, each, nth * SEGMENT_S * SECOND, SEGMENT_S * SECOND, nth * each)
        segment.append({"message": Message.build(IDENTITY, columns)}, {}, {})
        segment.close()
        seal.seal(path, Closed(SegmentName(IDENTITY, nth), segment.path, header, segment.last))
    if layout.segments(path):
        raise RuntimeError("not everything was sealed")


def _columns(chance: np.random.Generator, count: int, start: int, span: int, seq: int) -> dict[str, Any]:
    """So many messages within `span` ns from START + `start` on, in order, numbered from `seq`."""
    names = list(SHARES)
    weights = np.array(list(SHARES.values())) / sum(SHARES.values())
    size = chance.integers(8, 1000, count).astype(np.uint32)
    return {
        "ts": START + start + np.sort(chance.integers(0, span, count)),
        "seq": np.arange(seq, seq + count),
        "peer": chance.integers(0, PEERS, count),
        "inbound": chance.random(count) < 0.5,
        "type": labels(chance.choice(len(names), count, p=weights).astype(np.int16), names),
        "size": size,
        "kept": size,
        "unreadable": np.zeros(count, bool),
    }


TOPIC = Topic(
    "Questions to a day of one node",
    f"""{ROWS:,} rows of `message`, asked by `peerwatch sql`'s engine: wall time from the question to the whole answer, with
opening the archive, on two threads, files in the page cache. Hours and minutes are the roll-ups in table `rate`, which are made
when rows become Parquet. The {DAY_S // SEGMENT_S} segments of a day leave as many files a table; the archive puts them
together. Recording goes on in another process, which seals every second and puts the files of twelve seconds together.""",
    measure,
)
