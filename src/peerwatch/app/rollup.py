"""Roll-ups of one second: messages and bytes by direction and type.

They are partial sums over the rows of one chunk, recorded together with these rows: rows of the same second add up, and a
crash can neither lose nor double them. Intervals of a minute and an hour are made when rows become Parquet.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from peerwatch.schema.batch import SECOND, Rows
from peerwatch.schema.table import Identity
from peerwatch.schema.tables.rate import Rate
from peerwatch.stats.grouping import group
from peerwatch.wire.columns import labels


def rates(identity: Identity, messages: pa.RecordBatch) -> pa.RecordBatch:
    """Rate rows of 1 s for rows of the message table; `seq` is that of the first message that a row counts."""
    rows = Rows(messages)
    codes, names = rows.codes("type")
    second = rows["ts"] // SECOND
    inbound = rows["inbound"].astype(np.int64)
    start = int(second.min())
    key = ((second - start) * 2 + inbound) * len(names) + codes
    groups, back = group(key)
    n = len(groups)
    first = np.empty(n, np.int64)
    first[back[::-1]] = np.arange(len(back) - 1, -1, -1)  # of several assignments the last one counts: the first row
    errors = np.bincount(back, weights=rows.valid("error"), minlength=n)
    return Rate.build(
        identity,
        {
            "ts": second[first] * SECOND,
            "seq": rows["seq"][first],
            "width": np.ones(n, np.int32),
            "inbound": rows["inbound"][first],
            "type": labels(codes[first], names),
            "messages": np.bincount(back, minlength=n).astype(np.int64),
            "bytes": np.bincount(back, weights=rows["size"], minlength=n).astype(np.int64),
            "errors": errors.astype(np.int64),
        },
    )
