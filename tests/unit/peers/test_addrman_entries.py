"""Entries of the address manager as columns."""

from __future__ import annotations

import pyarrow as pa

from peerwatch.peers.addrman_entries import FIRST_TRIED, PLACES, READ, named, places


def test_places_go_through_both_tables() -> None:
    """`new` has 1024 buckets of 64 places and `tried` 256 (Core, addrman_impl.h)."""
    assert FIRST_TRIED == 65_536
    assert PLACES == 65_536 + 16_384


def test_names_tell_addresses_and_ports_apart() -> None:
    """No two different pairs of address and port have the same name."""
    pairs = [("1.2.3.4", 18), ("1.2.3.41", 8), ("1.2.3.4", 1), ("::1", 18)]
    rows = [{"place": i, "address": address, "port": port} for i, (address, port) in enumerate(pairs)]
    batch = pa.RecordBatch.from_pylist(rows, schema=READ)
    assert len(set(named(batch).to_pylist())) == len(pairs)
    assert places(batch).tolist() == [0, 1, 2, 3]
