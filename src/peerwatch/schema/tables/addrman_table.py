"""One table of the address manager."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Level, Table


class AddrmanTable(Table):
    """One table of the address manager: how full and how old it is, and who filled it; from `getrawaddrman`."""

    level = Level.LIGHT
    is_state = True

    table: Annotated[str, c.label("new or tried.")]
    entries: Annotated[int, c.count("Places taken; an address can have up to 8 in the new table.")]
    addresses: Annotated[int, c.count("Different addresses.")]
    places: Annotated[int, c.count("Places that there are: 1024 or 256 buckets of 64 (addrman_impl.h).")]
    buckets: Annotated[int, c.count("Buckets with any entry.")]
    full_buckets: Annotated[int, c.count("Buckets without a free place.")]
    age_median: Annotated[
        int | None, Column("Median age of the noted times.", pa.int64(), Semantic.DURATION, unit="s", nullable=True)
    ]
    age_90: Annotated[int | None, Column("90th percentile of it.", pa.int64(), Semantic.DURATION, unit="s", nullable=True)]
    future: Annotated[int, c.count("Entries whose time is more than 10 minutes ahead.")]
    old: Annotated[int, c.count("Entries older than 30 days, which Core holds for terrible (ADDRMAN_HORIZON).")]
    netgroups: Annotated[int, c.count("Netgroups of the addresses.")]
    from_netgroups: Annotated[int, c.count("Netgroups of the peers that they are from.")]
    top_from_netgroup: Annotated[str | None, c.text("The netgroup that most entries are from.", nullable=True, untrusted=True)]
    top_from_entries: Annotated[int, c.count("Entries from it.")]
    top_asn: Annotated[
        int | None,
        Column("The autonomous system with most entries, where it is known.", pa.int64(), Semantic.NUMBER, nullable=True),
    ]
    top_asn_entries: Annotated[int, c.count("Entries in it.")]
    asn_known: Annotated[int, c.count("Entries whose autonomous system is known.")]
    inserted: Annotated[int, c.count("Entries inserted since the answer before.")]
    evicted: Annotated[int, c.count("Entries evicted or replaced since then.")]
    moved: Annotated[int, c.count("Entries that came from the other table since then.")]
