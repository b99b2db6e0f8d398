"""What a real node answers, as rows."""

from __future__ import annotations

import pytest

from peerwatch.schema.batch import SECOND
from peerwatch.sources.rpc.registry import methods
from tests.node.coins import mine
from tests.node.harness import Node, at_rest
from tests.node.stage import Stage, rpc
from tests.node.watching import Watching, counted

pytestmark = pytest.mark.node

COLUMNS = {
    "address": "addr",
    "network": "network",
    "inbound": "inbound",
    "conn_type": "connection_type",
    "transport": "transport_protocol_type",
    "protocol": "version",
    "user_agent": "subver",
    "starting_height": "startingheight",
    "relay_txs": "relaytxes",
    "addr_processed": "addr_processed",
    "addr_rate_limited": "addr_rate_limited",
    "bytes_sent": "bytessent",
    "bytes_received": "bytesrecv",
}
"""Columns of `peer_state` whose values are those of the answer."""


def test_every_call_is_answered_and_has_every_field(stage: Stage) -> None:
    """No call fails, none lacks a field that its version should have, and each says what it cost."""
    wanted = {method.method for method in methods()}
    stage.watching.until(lambda: {row["method"] for row in stage.watching.of("rpc_call")} >= wanted, "every call")
    calls = stage.watching.of("rpc_call")
    assert {row["error"] for row in calls} == {None}
    assert all(0 < row["duration"] < 10 * SECOND and 0 <= row["decoding"] < SECOND and row["bytes"] > 0 for row in calls)
    assert stage.watching.of("loss", "rpc") == []


def test_peers_are_as_the_node_says(stage: Stage) -> None:
    """Each peer's columns, and the bytes of every message type, are those of `getpeerinfo`."""
    at_rest(lambda: peers_agree(stage))


def peers_agree(stage: Stage) -> None:
    """Compare the newest rows with an answer."""
    peers = stage.scene.node.peers()
    stage.watching.go_on(1.5)
    state, session = stage.watching.latest("peer_state"), stage.watching.of("peer_state")[-1]["session"]
    newest = max(row["ts"] for row in state.values())
    assert {number for number, row in state.items() if row["ts"] == newest} == set(peers)
    for number, peer in peers.items():
        assert {name: state[number][name] for name in COLUMNS} == {name: peer[field] for name, field in COLUMNS.items()}
        assert state[number]["services"] == int(peer["services"], 16)
        assert state[number]["established"] == peer["conntime"] * SECOND
        assert counted(stage.watching, session)[number] == {True: peer["bytesrecv_per_msg"], False: peer["bytessent_per_msg"]}


def test_the_state_of_the_node(stage: Stage) -> None:
    """Chain, mempool, network, memory and orphans are those that other calls tell; so is what the node is."""
    node, watching = stage.scene.node, stage.watching
    mine(node)
    stage.scene.same_tip()

    def agree() -> None:
        watching.go_on(1.0)
        chain, mempool = watching.of("chain_state")[-1], watching.of("mempool_state")[-1]
        network = [row for row in watching.of("network_state") if row["connections"] is not None][-1]
        assert (chain["blocks"], chain["best_block"]) == (node.rpc("getblockcount"), tip_of(node))
        assert mempool["transactions"] == len(node.rpc("getrawmempool"))
        assert network["connections"] == len(node.peers()) == network["connections_in"] + network["connections_out"]
        orphans = [row for row in watching.of("orphan_state") if row["peer"] is None]
        assert orphans[-1]["transactions"] == len(node.rpc("getorphantxs"))

    at_rest(agree)
    assert watching.of("memory_state")[-1]["locked"] > 0
    identity = watching.of("node_identity")[-1]
    info = node.rpc("getnetworkinfo")
    assert (identity["version"], identity["user_agent"], identity["protocol"]) == (
        info["version"],
        info["subversion"],
        info["protocolversion"],
    )
    assert (identity["chain"], identity["role"], identity["services"]) == ("regtest", "test", int(info["localservices"], 16))


def tip_of(node: Node) -> bytes:
    """Hash of the newest block, in the byte order of `chain_state`."""
    return bytes.fromhex(node.rpc("getbestblockhash"))[::-1]


def test_bans_and_invalid_blocks(node: Node) -> None:
    """A ban that comes and goes, and a block that the node holds for invalid, are told once each."""
    with Watching(rpc(node)) as watching:
        watching.until(lambda: watching.of("rpc_call", method="listbanned"), "no bans")
        node.rpc("setban", "192.0.2.0/24", "add", 600)
        watching.until(lambda: watching.of("ban", event="added", subnet="192.0.2.0/24"), "a ban")
        node.rpc("setban", "192.0.2.0/24", "remove")
        watching.until(lambda: watching.of("ban", event="removed"), "the ban lifted")
        *_, block = mine(node, 3)
        node.rpc("invalidateblock", block)
        watching.until(lambda: watching.of("invalid_tip"), "an invalid block")
        watching.go_on(2.5)
        (tip,) = watching.of("invalid_tip")
        assert (tip["hash"][::-1].hex(), tip["height"], tip["branch"]) == (block, 3, 1)
        assert [row["event"] for row in watching.of("ban")] == ["added", "removed"]
        assert watching.gaps() == []


def test_no_row_has_the_cookie(stage: Stage) -> None:
    """Neither the password nor what it is sent as is in anything that any source gave."""
    stage.watching.read()
    cookie = stage.scene.node.cookie()
    _, password = cookie.split(":")
    texts = [str(value) for table in stage.watching.rows for row in stage.watching.of(table) for value in row.values()]
    assert len(texts) > 10_000
    assert not [text for text in texts if password in text]


def test_a_wrong_cookie_is_said_and_a_right_one_is_taken(node: Node) -> None:
    """While the file has another node's cookie the source is blind, says why, and not with what; then it sees again."""
    path = node.netdir / ".cookie"
    right = path.read_text()
    wrong = "__cookie__:" + "0" * 64
    path.write_text(wrong)
    with Watching(rpc(node)) as watching:
        watching.until(lambda: watching.of("loss", "rpc", kind="blind"), "no login")
        assert {row["error"] for row in watching.of("rpc_call")} == {"unauthorized"}
        path.write_text(right)
        watching.until(lambda: watching.of("peer_state") or watching.of("chain_state"), "answers")
        assert [row["kind"] for row in watching.of("loss", "rpc")] == ["blind", "gap"]
        assert not [row for row in watching.of("loss") if "0000" in row["reason"]]
