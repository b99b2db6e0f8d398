"""Where addresses are from, as a real node has it: it and we read the same map and take the same addresses apart."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import numpy as np
import pytest

from peerwatch.peers.netgroup import UNROUTABLE, network_of
from peerwatch.sources.intelligence import load_origins
from tests.node.harness import Node, Program
from tests.reference.asmap import encode, tree_of
from tests.unit.peers.test_netgroup import SPECIAL_4, SPECIAL_6, i2p, onion

pytestmark = pytest.mark.node

IPV4 = "0" * 80 + "1" * 16


def some_map(rng: np.random.Generator) -> bytes:
    """Systems for most of IPv4 and of global IPv6, in networks of all sizes."""
    prefixes = {}
    for start, least, most in ((IPV4, 2, 16), ("001", 2, 29)):
        for _ in range(600):
            bits = "".join(map(str, rng.integers(0, 2, int(rng.integers(least, most)))))
            prefixes[start + bits] = int(rng.integers(1, 400_000))
    return encode(tree_of(prefixes))


def some_addresses(rng: np.random.Generator) -> list[str]:
    """Addresses of all networks, many of them where Core makes a difference."""
    hosts = [str(ipaddress.IPv4Address(rng.bytes(4))) for _ in range(300)]
    hosts += [str(ipaddress.IPv6Address(bytes([0x20 + rng.integers(0, 16)]) + rng.bytes(15))) for _ in range(300)]
    hosts += [f"{first}.{rng.integers(0, 256)}.{rng.integers(0, 256)}" for first in SPECIAL_4 for _ in range(4)]
    for text in SPECIAL_6:
        for size in (1, 4, 5, 8):
            below = int.from_bytes(rng.bytes(size), "big")
            hosts.append(str(ipaddress.IPv6Address(int(ipaddress.IPv6Address(text)) | below)))
    return hosts + [make(rng.bytes(32)) for make in (onion, i2p) for _ in range(10)]


def test_systems_and_networks_are_those_of_the_node(program: Program, folder: Path) -> None:
    """A node takes our encoder's map, and of each address that it keeps it says the same system and network as we do.

    What it does not keep is not routable for us, but for a few that find no room.
    """
    rng = np.random.default_rng(20)
    path = folder / "asmap.dat"
    path.write_bytes(some_map(rng))
    origins = load_origins(str(path))
    hosts = some_addresses(rng)
    with Node(program, folder / "a", [f"-asmap={path}", "-cjdnsreachable=1"]) as node:
        for host in hosts:
            node.rpc("addpeeraddress", host, 0 if host.endswith(".i2p") else 8333)
        entries = [entry for table in node.rpc("getrawaddrman").values() for entry in table.values()]
    kept = {entry["address"] for entry in entries}
    assert len(kept) > 600
    for entry in entries:
        host = entry["address"]
        assert (entry["network"], entry.get("mapped_as")) == (network_of(host), origins.asn_of(host)), host
    assert {network_of(host) for host in kept} == {"ipv4", "ipv6", "onion", "i2p", "cjdns"}
    assert sum(origins.asn_of(host) is not None for host in kept) > 300
    refused = [host for host in hosts if host not in kept and network_of(host) != UNROUTABLE]
    assert len(refused) < len(hosts) / 10
