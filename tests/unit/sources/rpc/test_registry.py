"""Readers, and the calls that they want."""

from __future__ import annotations

from peerwatch.sources.rpc._api import Known
from peerwatch.sources.rpc.registry import UPTIME, make_readers, methods, reader_classes, tables


def test_every_module_has_a_reader() -> None:
    """All are found by their modules, and are made anew each time."""
    first, second = make_readers(Known()), make_readers(Known())
    assert len(first) == len(reader_classes()) == len(second)
    assert not set(map(id, first)) & set(map(id, second))


def test_calls_are_told_once_with_what_they_fill() -> None:
    """A method that several readers want is there once, as often as the one that wants it most."""
    told = methods()
    assert [method.method for method in told] == sorted({method.method for method in told})
    by_name = {method.method: method for method in told}
    assert by_name.keys() >= {
        "getpeerinfo", "getnetworkinfo", "getnettotals", "getmempoolinfo", "getmemoryinfo", "getblockchaininfo",
        "getchaintxstats", "getchaintips", "getorphantxs", "getaddrmaninfo", "getrawaddrman", "uptime", "listbanned",
    }  # fmt: skip
    assert by_name["uptime"].every_s == UPTIME.every_s
    assert by_name["getpeerinfo"].every_s == 10
    assert by_name["getrawaddrman"].every_s >= 120
    assert {"peer_state", "addrman_entry", "node_identity"} <= {table.name for table in tables()}
