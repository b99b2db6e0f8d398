"""The address manager of a real node: the rows of its changes add up to what it has."""

from __future__ import annotations

from typing import Any

import pytest

from tests.node.harness import Node, at_rest
from tests.node.stage import Stage, rpc
from tests.node.watching import Watching

pytestmark = pytest.mark.node

Place = tuple[str, int, int]
"""Table, bucket, position."""


def standing(watching: Watching) -> dict[Place, dict[str, Any]]:
    """What the tables hold by the rows so far."""
    tables: dict[Place, dict[str, Any]] = {}
    for row in watching.of("addrman_entry"):
        place = (row["table"], row["bucket"], row["position"])
        if row["event"] == "evicted":
            del tables[place]
        else:
            tables[place] = row
    return tables


def held(node: Node) -> dict[Place, dict[str, Any]]:
    """What they hold by the node's own answer."""
    found = {}
    for table, entries in node.rpc("getrawaddrman").items():
        for key, entry in entries.items():
            bucket, position = key.split("/")
            found[table, int(bucket), int(position)] = entry
    return found


def tables_agree(watching: Watching, node: Node) -> None:
    """Compare, entry by entry."""
    watching.go_on(1.5)
    rows, entries = standing(watching), held(node)
    assert rows.keys() == entries.keys()
    for place, entry in entries.items():
        row = rows[place]
        assert (row["address"], row["port"], row["network"]) == (entry["address"], entry["port"], entry["network"])
        assert (row["services"], row["time"]) == (entry["services"], entry["time"])
        assert (row["from_address"], row["from_network"]) == (entry["source"], entry["source_network"])


def test_the_rows_add_up_to_the_tables(stage: Stage) -> None:
    """After hundreds of addresses from several peers, each place holds what the rows say, and the sums are right."""
    node, watching = stage.scene.node, stage.watching
    at_rest(lambda: tables_agree(watching, node))
    entries = held(node)
    new = watching.of("addrman_table", table="new")[-1]
    assert new["entries"] == len(entries) > 50
    assert new["addresses"] == len({(entry["address"], entry["port"]) for entry in entries.values()})
    assert new["buckets"] == len({bucket for _, bucket, _ in entries})
    assert new["places"] == 1024 * 64
    info = node.rpc("getaddrmaninfo")["all_networks"]
    (row,) = watching.of("addrman_state", network="all_networks")[-1:]
    assert (row["new"], row["tried"]) == (info["new"], info["tried"])


def test_addresses_of_either_table(node: Node) -> None:
    """What was there before is told as present, what comes as inserted, each in its table, with its netgroup."""
    node.rpc("addpeeraddress", "11.22.33.44", 8333)
    with Watching(rpc(node)) as watching:
        watching.until(lambda: watching.of("addrman_entry"), "an address")
        node.rpc("addpeeraddress", "55.66.77.88", 8333, True)
        at_rest(lambda: tables_agree(watching, node))
        rows = watching.of("addrman_entry")
        assert [(row["event"], row["table"], row["address"], row["netgroup"]) for row in rows] == [
            ("present", "new", "11.22.33.44", "11.22.0.0/16"),
            ("inserted", "tried", "55.66.77.88", "55.66.0.0/16"),
        ]
        assert watching.of("addrman_table", table="tried")[-1]["entries"] == 1
        assert watching.gaps() == []
