"""Figures of the tables of the address manager."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from peerwatch.peers.addrman import AddressManager
from peerwatch.peers.addrman_entries import FIRST_TRIED, READ
from peerwatch.peers.addrman_summary import FUTURE_S, HORIZON_S, summary
from peerwatch.schema.batch import SECOND
from peerwatch.schema.table import Identity
from peerwatch.schema.tables.addrman_table import AddrmanTable

NOW_S = 1_760_000_000


def entry(place: int, address: str = "1.2.3.4", age: int = 100, source: str = "9.8.7.6", **others: int) -> dict[str, Any]:
    """An entry of IPv4."""
    return {
        "place": place,
        "address": address,
        "port": 8333,
        "network": "ipv4",
        "services": 9,
        "time": NOW_S - age,
        "from_address": source,
        "from_network": "ipv4",
        **others,
    }


def figures(*states: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the table for the last of some states, as they would be recorded."""
    manager = AddressManager(lambda _: None)
    for state in states:
        entries, changes = manager.update(pa.RecordBatch.from_pylist(state, schema=READ))
    columns = summary(entries, changes, NOW_S * SECOND + 999)
    batch = AddrmanTable.build(Identity("alice", 1, "rpc"), {**columns, "seq": np.arange(2)})
    batch.validate(full=True)
    assert batch["ts"].to_pylist() == [NOW_S * SECOND + 999] * 2
    return [{name: row[name] for name in list(AddrmanTable.columns)[5:]} for row in batch.to_pylist()]


def test_an_empty_table() -> None:
    """Nothing is in it, and nothing is most frequent."""
    new, tried = figures([])
    zero = dict.fromkeys(new, 0) | {"age_median": None, "age_90": None, "top_from_netgroup": None, "top_asn": None}
    assert new == zero | {"table": "new", "places": 65_536}
    assert tried == zero | {"table": "tried", "places": 16_384}


def test_how_full() -> None:
    """Places, addresses (an address may have several places), buckets, and full buckets, of each table by itself."""
    bucket = [entry(64 * 5 + i, address=f"1.2.3.{i}") for i in range(64)]
    new, tried = figures([*bucket, entry(0), entry(3), entry(FIRST_TRIED, address="1.2.3.99")])
    assert (new["entries"], new["addresses"], new["buckets"], new["full_buckets"]) == (66, 64, 2, 1)
    assert (tried["entries"], tried["addresses"], tried["buckets"], tried["full_buckets"]) == (1, 1, 1, 0)


def test_how_old() -> None:
    """Quantiles are ages that there are; beyond the bounds is what Core holds for terrible."""
    ages = [FUTURE_S, -FUTURE_S, -FUTURE_S - 1, HORIZON_S, HORIZON_S + 1, 1, 2, 3, 4, 5]
    new, tried = figures([entry(i, age=age) for i, age in enumerate(ages)])
    assert (new["age_median"], new["age_90"]) == (3, HORIZON_S)
    assert (new["future"], new["old"]) == (1, 1)
    assert tried["age_median"] is None


def test_times_that_no_clock_has() -> None:
    """Whatever time a peer gossiped, ages are computed."""
    new, _ = figures([entry(0, age=NOW_S), entry(1) | {"time": 2**63 - 1}])
    assert (new["old"], new["future"]) == (1, 1)
    assert new["age_median"] == NOW_S - 2**63 + 1


def test_who_filled_it() -> None:
    """Netgroups of addresses and of the peers that they are from, the most frequent of them, and autonomous systems."""
    new, _ = figures(
        [
            entry(0, source="9.8.7.6", asn=64_501),
            entry(1, source="9.8.0.1", asn=64_500),
            entry(2, source="7.7.7.7", address="1.3.0.0", asn=64_500),
            entry(3, source="7.7.7.8", asn=64_501),
            entry(4, source="5.5.5.5"),
        ]
    )
    assert (new["netgroups"], new["from_netgroups"]) == (2, 3)
    assert (new["top_from_netgroup"], new["top_from_entries"]) == ("7.7.0.0/16", 2)
    assert (new["top_asn"], new["top_asn_entries"], new["asn_known"]) == (64_500, 2, 4)


def test_changes_since_the_answer_before() -> None:
    """Evicted and replaced ones count together, what came from the other table where it is now; a first answer counts nothing."""
    a, b, c, d, e = (f"{i}.2.3.4" for i in range(1, 6))
    before = [entry(0, a), entry(1, b), entry(2, c), entry(FIRST_TRIED, d)]
    after = [entry(0, e), entry(FIRST_TRIED + 1, c), entry(5, d)]
    assert [(row["inserted"], row["evicted"], row["moved"]) for row in figures(before)] == [(0, 0, 0)] * 2
    assert [(row["inserted"], row["evicted"], row["moved"]) for row in figures(before, after)] == [(1, 2, 1), (0, 0, 1)]
