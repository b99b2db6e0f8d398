"""Entries of the address manager as columns: a row for each place that is taken."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from peerwatch.schema.batch import Array

NEW_BUCKETS = 1 << 10
"""Core, addrman_impl.h: ADDRMAN_NEW_BUCKET_COUNT."""
TRIED_BUCKETS = 1 << 8
"""Core, addrman_impl.h: ADDRMAN_TRIED_BUCKET_COUNT."""
BUCKET_SIZE = 1 << 6
"""Places in a bucket (Core, addrman_impl.h: ADDRMAN_BUCKET_SIZE)."""
FIRST_TRIED = NEW_BUCKETS * BUCKET_SIZE
"""Places are numbered through both tables, those of `new` first: here those of `tried` begin."""
PLACES = FIRST_TRIED + TRIED_BUCKETS * BUCKET_SIZE

TABLES = ("new", "tried")

READ = pa.schema(
    {
        "place": pa.int32(),
        "address": pa.utf8(),
        "port": pa.uint16(),
        "network": pa.utf8(),
        "services": pa.uint64(),
        "time": pa.int64(),
        "asn": pa.int64(),
        "from_address": pa.utf8(),
        "from_network": pa.utf8(),
        "from_asn": pa.int64(),
    }
)
"""An entry at a place, as the node tells it; `asn` and `from_asn` are null where it has none. Texts hold no space."""

ENTRY = READ.append(pa.field("netgroup", pa.utf8())).append(pa.field("from_netgroup", pa.utf8()))
"""The same with what is known about its addresses."""


_SPACE = pa.scalar(" ")
"""Made once: pyarrow looks for pandas whenever it makes a scalar."""


def places(entries: pa.RecordBatch) -> Array:
    """Places of entries."""
    return as_numpy(entries.column("place"))


def named(entries: pa.RecordBatch) -> pa.Array:
    """Address and port of entries as one text."""
    return pc.binary_join_element_wise(entries.column("address"), entries.column("port").cast(pa.utf8()), _SPACE)


def as_numpy(values: pa.Array) -> Array:
    """A column without nulls as a NumPy array."""
    return np.asarray(values.to_numpy(zero_copy_only=False))
