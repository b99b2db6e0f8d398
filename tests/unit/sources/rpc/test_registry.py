"""Readers, and the calls that they want."""

from __future__ import annotations

from pathlib import Path

from peerwatch.sources.rpc import readers
from peerwatch.sources.rpc._api import Known
from peerwatch.sources.rpc.registry import make_readers, methods, reader_classes, tables

MODULES = {path.stem for path in Path(readers.__path__[0]).glob("*.py")} - {"__init__"}


def test_every_module_has_a_reader() -> None:
    """By the name of the module; made anew each time."""
    assert reader_classes().keys() == MODULES
    first, second = make_readers(Known()), make_readers(Known())
    assert [type(each) for each in first] == list(reader_classes().values())
    assert not {id(each) for each in first} & {id(each) for each in second}


def test_methods_are_told_once_each() -> None:
    """With the shortest interval that is wanted, the version that brought each, and the tables."""
    told = {each.method: each for each in methods()}
    assert len(told) == len(methods())
    assert told.keys() >= {
        "getpeerinfo", "getnetworkinfo", "getnettotals", "getmempoolinfo", "getmemoryinfo", "getblockchaininfo",
        "getchaintxstats", "getchaintips", "getorphantxs", "getaddrmaninfo", "getrawaddrman", "uptime", "listbanned",
    }  # fmt: skip
    assert told["uptime"].tables == ()
    assert told["getorphantxs"].since == 290_000
    assert told["getnetworkinfo"].every_s == 60
    assert set(told["getblockchaininfo"].tables) == {"chain_rate", "chain_state", "node_identity", "own_address"}
    assert {name for each in told.values() for name in each.tables} == {table.name for table in tables()}
