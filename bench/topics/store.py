"""The archive: appending, sealing, and bytes a row."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa

from bench.alone import alone
from bench.figures import Budget, Figure, Scale, Topic
from bench.mix import BUSY, START, USUAL, Mix, raw
from bench.player import workplace
from peerwatch.app.rollup import rates
from peerwatch.schema.batch import SECOND
from peerwatch.schema.table import Identity
from peerwatch.store.archive import Archive
from peerwatch.store.writer import Limits
from peerwatch.wire.dissect import dissect

IDENTITY = Identity("bench", START, "bench")
TABLES = ("message", "inventory", "address", "ping", "version")
"""Tables that the mix fills."""

SEGMENT_S = int(Limits().age_s)
ROW = Budget(8.0, 5.0)

Appended = list[tuple[Mapping[str, pa.RecordBatch], int]]


def measure(scale: Scale) -> list[Figure]:
    """Rows of the mix at two rates, appended, sealed and weighed."""
    times = scale.of(3, 1)
    usual = [alone(sample, USUAL, scale.of(SEGMENT_S, 5), 1) for _ in range(times)]
    busy = [alone(sample, BUSY, scale.of(60, 2), 10) for _ in range(times)]
    figures = [
        Figure(f"append, a second at {USUAL} msg/s", "ms", [1e3 * ms for s in usual for ms in s["append"]]),
        Figure(f"append, a tenth of a second at {BUSY:,} msg/s", "ms", [1e3 * ms for s in busy for ms in s["append"]]),
        Figure("write-ahead, all tables", "rows/s", [s["rows"][0] / sum(s["append"]) for s in busy], is_rate=True),
        Figure("turned into Parquet, all tables", "rows/s", [s["rows"][0] / s["seal"][0] for s in busy], is_rate=True),
    ]
    for rate, samples in ((USUAL, usual), (BUSY, busy)):
        figures += [
            Figure(f"`{t}` at {rate:,} msg/s", "B/row", [s[t][0] for s in samples], ROW if t == "message" else None)
            for t in TABLES
        ]
        figures.append(Figure(f"everything at {rate:,} msg/s", "B/msg", [s["message bytes"][0] for s in samples]))
    return figures


def sample(rate: int, count: int, parts: int) -> dict[str, list[float]]:
    """Record `count` appends, `parts` of them a second, at a rate, and seal them as one segment."""
    found: dict[str, list[float]] = {"append": []}
    rows: Counter[str] = Counter()
    with workplace() as folder:
        with Archive.create_or_open(folder, Limits(float("inf"), 1 << 62)) as archive:
            writer = archive.writer(IDENTITY)
            for tables in _seconds(rate, count, parts, archive.inventory_key):
                rows.update({name: batch.num_rows for name, batch in tables.items()})
                began = time.thread_time()
                writer.append(tables, {"rows": rows.total()})
                found["append"].append(time.thread_time() - began)
            began = time.process_time()
            writer.close()
            found["seal"] = [time.process_time() - began]
        sizes = {name: _bytes(folder / name) for name in rows}
    found |= {name: [sizes[name] / rows[name]] for name in TABLES}
    found |= {"rows": [float(rows.total())], "message bytes": [sum(sizes.values()) / rows["message"]]}
    return found


def _seconds(rate: int, count: int, parts: int, key: bytes) -> Iterator[Mapping[str, pa.RecordBatch]]:
    """What a source and the roll-ups give to the recorder in a second, or a part of one."""
    mix = Mix()
    for nth in range(count):
        messages = raw(mix.events(rate // parts, rate, START + nth * SECOND // parts))
        tables = dissect(IDENTITY, messages, key).tables
        yield tables | {"rate": rates(IDENTITY, tables["message"])}


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.parquet"))


TOPIC = Topic(
    "The archive",
    f"""Rows of the mix are appended to a write-ahead segment, which then becomes Parquet (zstd): CPU time, and bytes a row in
Parquet, at a usual node's rate in a segment of {SEGMENT_S // 60} minutes, and at {BUSY:,} messages a second. `message` has a
row a message, `inventory` and `address` one an entry; bytes a message are those of all tables together, roll-ups included.""",
    measure,
)
