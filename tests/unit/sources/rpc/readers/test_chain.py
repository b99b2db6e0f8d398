"""Answers of `getblockchaininfo` and `getchaintxstats`."""

from __future__ import annotations

from peerwatch.sources.rpc._api import Known
from peerwatch.sources.rpc.readers.chain import INFO, RATE, Chain
from tests.unit.sources.rpc.reading import NOW, answer, read

TOLD = {
    "chain": "main",
    "blocks": 840_000,
    "headers": 840_001,
    "bestblockhash": "00" * 8 + "ab" * 24,
    "mediantime": 1_713_571_533,
    "verificationprogress": 0.9999,
    "initialblockdownload": False,
    "size_on_disk": 640_000_000_000,
    "pruned": False,
    "warnings": ["Unknown new rules activated (versionbit 28)"],
}


def test_the_state_of_the_chain() -> None:
    """With the hash as it is on the wire."""
    (row,) = read(Chain(Known()), answer(INFO, TOLD))["chain_state"]
    assert row == {
        "ts": NOW,
        "blocks": 840_000,
        "headers": 840_001,
        "best_block": b"\xab" * 24 + bytes(8),
        "median_time": 1_713_571_533,
        "progress": 0.9999,
        "initial_download": False,
        "disk": 640_000_000_000,
        "pruned": False,
        "warnings": "Unknown new rules activated (versionbit 28)",
    }


def test_the_rate_of_transactions() -> None:
    """In the window; a chain of one block has none, and that is no lack."""
    whole = {"txcount": 990_000_000, "window_block_count": 4320, "window_tx_count": 13_000_000, "window_interval": 2_600_000}
    reader = Chain(Known())
    rows = read(reader, answer(RATE, whole | {"txrate": 5}), answer(RATE, {"txcount": 1, "window_block_count": 0}))["chain_rate"]
    assert [list(row.values())[1:] for row in rows] == [[990_000_000, 4320, 13_000_000, 2_600_000, 5.0], [1, 0, None, None, None]]
    assert reader.lacking() == []
    read(reader, answer(RATE, {}), answer(INFO, {name: value for name, value in TOLD.items() if name != "pruned"}))
    assert reader.lacking() == ["getblockchaininfo.pruned"]
