"""How full and how old the tables of the address manager are, and who filled them: rows of `addrman_table`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from peerwatch.peers.addrman_changes import Changes
from peerwatch.peers.addrman_entries import (
    BUCKET_SIZE,
    FIRST_TRIED,
    NEW_BUCKETS,
    TABLES,
    TRIED_BUCKETS,
    as_numpy,
    named,
    places,
)
from peerwatch.schema.batch import SECOND

FUTURE_S = 10 * 60
"""Core holds an entry for terrible if its time is further ahead (addrman.cpp: AddrInfo::IsTerrible) …"""
HORIZON_S = 30 * 24 * 3600
"""… or further back (ADDRMAN_HORIZON)."""


def summary(entries: pa.RecordBatch, changes: Changes, ts: int) -> dict[str, Any]:
    """Columns of `addrman_table`, a row for each table.

    Args:
        entries: a state, as in ENTRY, by place.
        changes: how it came of the one before.
        ts: time of the answer, ns UTC.
    """
    cut = int(np.searchsorted(places(entries), FIRST_TRIED))
    buckets = (NEW_BUCKETS, TRIED_BUCKETS)
    rows = [_of_table(part, ts // SECOND) for part in (entries.slice(0, cut), entries.slice(cut))]
    return {
        "ts": [ts, ts],
        "table": list(TABLES),
        "places": [count * BUCKET_SIZE for count in buckets],
        **{name: [row[name] for row in rows] for name in rows[0]},
        "inserted": changes.count("inserted"),
        "evicted": changes.count("evicted", "replaced"),
        "moved": changes.count("to_tried", "to_new"),
    }


def _of_table(entries: pa.RecordBatch, now: int) -> dict[str, Any]:
    """The entries of one table; `now` is the time of the answer, s UTC."""
    filled = np.unique(places(entries) // BUCKET_SIZE, return_counts=True)[1]
    age = now - as_numpy(entries.column("time"))
    source, from_it = _most_frequent(entries.column("from_netgroup"))
    asn, in_it = _most_frequent(entries.column("asn").drop_null())
    return {
        "entries": len(entries),
        "addresses": pc.count_distinct(named(entries)).as_py(),
        "buckets": len(filled),
        "full_buckets": int((filled == BUCKET_SIZE).sum()),
        **{name: _quantile(age, share) for name, share in (("age_median", 0.5), ("age_90", 0.9))},
        "future": int((age < -FUTURE_S).sum()),
        "old": int((age > HORIZON_S).sum()),
        "netgroups": pc.count_distinct(entries.column("netgroup")).as_py(),
        "from_netgroups": pc.count_distinct(entries.column("from_netgroup")).as_py(),
        "top_from_netgroup": source,
        "top_from_entries": from_it,
        "top_asn": asn,
        "top_asn_entries": in_it,
        "asn_known": len(entries) - entries.column("asn").null_count,
    }


def _quantile(ages: Any, share: float) -> int | None:
    """The least age, s, than which at least this share of all is not greater."""
    return int(np.quantile(ages, share, method="inverted_cdf")) if len(ages) else None


def _most_frequent(values: pa.Array) -> tuple[Any, int]:
    """The value that is there most often, of several the least, and how often; None and 0 if there is none."""
    counts = pc.value_counts(values)
    if not len(counts):
        return None, 0
    often = counts.field("counts")
    most = pc.max(often)
    return pc.min(counts.field("values").filter(pc.equal(often, most))).as_py(), most.as_py()
