"""What a node is, by `getnetworkinfo`, `getblockchaininfo` and what is configured."""

from __future__ import annotations

from typing import Any

from peerwatch.schema.batch import SECOND
from peerwatch.sources.rpc._api import Known
from peerwatch.sources.rpc.readers.identity import CHAIN, NETWORK, Identity
from tests.unit.sources.rpc.reading import NOW, answer, read

ONION = "kpgvmscirrdqpekbqjsvw5teanhatztpp2gl6eee4zkowvwfxwenqaid.onion"


def network(name: str, *, reachable: bool, proxy: str = "") -> dict[str, Any]:
    return {"name": name, "limited": not reachable, "reachable": reachable, "proxy": proxy, "proxy_randomize_credentials": False}


TOLD: dict[str, Any] = {
    "version": 290_300,
    "subversion": "/Satoshi:29.3.0(mine)/",
    "protocolversion": 70_016,
    "localservices": "0000000000000c09",
    "localservicesnames": ["NETWORK", "WITNESS"],
    "localrelay": True,
    "networks": [
        network("ipv4", reachable=True),
        network("onion", reachable=True, proxy="127.0.0.1:9050"),
        network("i2p", reachable=False),
    ],
    "relayfee": 0.00001,
    "localaddresses": [{"address": ONION, "port": 8333, "score": 4}],
}
BLOCKS = {"chain": "main", "pruned": True}


def known() -> Known:
    labels = {"organization": "ours", "variant": "rc"}
    return Known(labels, configured_addresses=(("2001:db8::1", None),), binds=2, listens=True, started=NOW - 60 * SECOND)


def test_the_first_row_has_all_of_it() -> None:
    """Once both answers have come; what is not known is null."""
    rows = read(Identity(known()), answer(NETWORK, TOLD), answer(CHAIN, BLOCKS, 1))
    assert rows["node_identity"] == [
        {
            "ts": NOW + SECOND,
            "changed": None,
            "version": 290_300,
            "user_agent": "/Satoshi:29.3.0(mine)/",
            "protocol": 70_016,
            "services": 0xC09,
            "service_names": "NETWORK,WITNESS",
            "chain": "main",
            "pruned": True,
            "networks": "ipv4,onion",
            "proxied": "onion",
            "listens": True,
            "binds": 2,
            "relay_txs": True,
            "relay_fee": 1000,
            "own_addresses": 1,
            "started": NOW - 60 * SECOND,
            "organization": "ours",
            "region": None,
            "role": None,
            "variant": "rc",
        }
    ]


def test_own_addresses_are_told_once() -> None:
    """Those that are configured and those that the node announces."""
    reader = Identity(known())
    rows = read(reader, answer(NETWORK, TOLD))["own_address"]
    assert [(row["origin"], row["address"], row["port"]) for row in rows] == [
        ("configured", "2001:db8::1", None),
        ("localaddresses", ONION, 8333),
    ]
    more = [*TOLD["localaddresses"], {"address": "9.8.7.6", "port": 0}]
    rows = read(reader, answer(NETWORK, TOLD), answer(NETWORK, TOLD | {"localaddresses": more}))["own_address"]
    assert [(row["origin"], row["address"], row["port"]) for row in rows] == [("localaddresses", "9.8.7.6", 0)]


def test_a_change_is_a_row_that_names_it() -> None:
    """And nothing is told as long as all is as before."""
    reader = Identity(known())
    read(reader, answer(NETWORK, TOLD), answer(CHAIN, BLOCKS))
    assert read(reader, answer(NETWORK, TOLD), answer(CHAIN, BLOCKS)) == {}
    fewer = TOLD | {"networks": TOLD["networks"][:1], "localservices": "0000000000000409"}
    (row,) = read(reader, answer(NETWORK, fewer, 5))["node_identity"]
    assert (row["ts"], row["changed"]) == (NOW + 5 * SECOND, "networks,proxied,services")
    assert (row["networks"], row["proxied"], row["chain"]) == ("ipv4", "", "main")


def test_one_of_the_answers_is_not_waited_for_in_vain() -> None:
    """When the other comes for the second time, what is known is told; and then what came late."""
    reader = Identity(known())
    assert "node_identity" not in read(reader, answer(NETWORK, TOLD))
    (row,) = read(reader, answer(NETWORK, TOLD, 60))["node_identity"]
    assert (row["version"], row["chain"], row["changed"]) == (290_300, None, None)
    (row,) = read(reader, answer(CHAIN, BLOCKS, 61))["node_identity"]
    assert (row["chain"], row["changed"]) == ("main", "chain,pruned")


def test_what_is_missing_is_null_and_named() -> None:
    """Lists of odd things, too."""
    reader = Identity(Known())
    odd = {"version": 290_300, "networks": [1], "localaddresses": [{"address": 5}]}
    (row,) = read(reader, answer(NETWORK, odd), answer(CHAIN, {}))["node_identity"]
    assert {name for name, value in row.items() if value is not None} == {"ts", "version", "own_addresses"}
    assert {"getnetworkinfo.networks", "getnetworkinfo.address", "getblockchaininfo.chain"} <= set(reader.lacking())
