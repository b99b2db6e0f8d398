"""The address manager over time: which tables an address is in, and what is known about it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa

from peerwatch.peers.addrman import AddressManager
from peerwatch.peers.addrman_entries import FIRST_TRIED, READ

ENTRY = {
    "address": "1.2.3.4",
    "port": 8333,
    "network": "ipv4",
    "services": 9,
    "time": 100,
    "from_address": "9.8.7.6",
    "from_network": "ipv4",
}


def read(*entries: dict[str, Any]) -> pa.RecordBatch:
    """Entries with what they have other than ENTRY; `place` must be given."""
    return pa.RecordBatch.from_pylist([ENTRY | each for each in entries], schema=READ)


def test_the_state_is_by_place_and_in_one_table() -> None:
    """Whatever the order of the answer; an address and port that are in both tables are in `tried`."""
    manager = AddressManager(lambda _: None)
    answer = read({"place": FIRST_TRIED + 5}, {"place": 70, "port": 1}, {"place": 7}, {"place": 3, "address": "5.6.7.8"})
    state, changes = manager.update(answer)
    assert state["place"].to_pylist() == [3, 70, FIRST_TRIED + 5]
    assert changes.entries.equals(state)


def test_each_address_is_looked_up_once() -> None:
    """The node's autonomous systems count; others are looked up once, when an address comes, if it can have one."""
    asked: Counter[str] = Counter()

    def asn_of(address: str) -> int | None:
        asked[address] += 1
        return {"1.2.3.4": 64_500, "2a00::1": None, "9.8.7.6": 64_501}[address]

    manager = AddressManager(asn_of)
    onion = {"address": "a" * 56 + ".onion", "network": "onion"}
    first = [
        {"place": 0},
        {"place": 1},
        {"place": 2, "address": "5.6.7.8", "asn": 64_999},
        {"place": 3, "from_asn": 65_000},
        {"place": 4, "address": "2a00::1", "network": "ipv6"},
        {"place": 5, **onion},
    ]
    state, _ = manager.update(read(*first))
    assert state["asn"].to_pylist() == [64_500, 64_500, 64_999, 64_500, None, None]
    assert state["from_asn"].to_pylist() == [64_501, 64_501, 64_501, 65_000, 64_501, 64_501]
    assert asked == {"1.2.3.4": 1, "9.8.7.6": 1, "2a00::1": 1}
    again, _ = manager.update(read(*first[1:]))
    assert again.equals(state.slice(1))
    assert asked.total() == 3


def test_the_network_that_the_node_tells_decides() -> None:
    """An address in fc00::/8 is of CJDNS only where the node says so; the netgroup is by that."""
    cjdns = {"address": "fc12::1", "from_address": "fc12::1"}
    answer = read({"place": 0, **cjdns, "network": "cjdns", "from_network": "not_publicly_routable"})
    state, _ = AddressManager(lambda _: None).update(answer)
    assert state["netgroup"].to_pylist() == ["cjdns:1"]
    assert state["from_netgroup"].to_pylist() == ["unroutable"]


def test_a_state_without_entries() -> None:
    """No entry is a state, too: of a fresh node, and of one that lost them all."""
    manager = AddressManager(lambda _: None)
    assert len(manager.update(read())[1].entries) == 0
    assert len(manager.update(read({"place": 0}))[1].entries) == 1
    state, changes = manager.update(read())
    assert len(state) == 0
    assert changes.count("evicted") == (1, 0)
