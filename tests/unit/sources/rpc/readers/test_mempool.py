"""Answers of `getmempoolinfo`."""

from __future__ import annotations

from peerwatch.sources.rpc._api import Known
from peerwatch.sources.rpc.readers.mempool import METHOD, Mempool
from tests.unit.sources.rpc.reading import NOW, answer, read


def test_figures_are_in_the_units_of_the_table() -> None:
    """Fee rates in satoshi for 1000 vbytes."""
    told = {"loaded": True, "size": 5, "bytes": 900, "usage": 7000, "maxmempool": 300_000_000, "unbroadcastcount": 1}
    fees = {"mempoolminfee": 0.00001234, "minrelaytxfee": 1e-06}
    (row,) = read(reader := Mempool(Known()), answer(METHOD, told | fees))["mempool_state"]
    assert row == {
        "ts": NOW,
        "loaded": True,
        "transactions": 5,
        "vbytes": 900,
        "memory": 7000,
        "memory_most": 300_000_000,
        "fee_least": 1234,
        "relay_fee_least": 100,
        "unbroadcast": 1,
    }
    assert reader.lacking() == []


def test_what_is_missing_or_odd_is_null() -> None:
    """And named."""
    (row,) = read(reader := Mempool(Known()), answer(METHOD, {"loaded": True, "size": "many"}))["mempool_state"]
    assert {name for name, value in row.items() if value is not None} == {"ts", "loaded"}
    assert {"getmempoolinfo.size", "getmempoolinfo.mempoolminfee"} <= set(reader.lacking())
