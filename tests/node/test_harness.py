"""The node itself, before anything of ours looks at it: it keeps to itself, and its own three accounts of its messages agree."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import psutil
import pytest

from tests.node.counts import SPELLED_OUT, as_logged, captured, counted_more, logged, only, refused
from tests.node.harness import LOOPBACK, NOBODY, Node, Program, at_rest, wait_for
from tests.node.peer import Peer, frame
from tests.node.traffic import Scene, inbound, outbound

pytestmark = pytest.mark.node


def test_the_node_is_called_bitcoind_and_has_no_rights(played: Scene, program: Program) -> None:
    """The process that was started is the node itself, by the name that it has everywhere, and is nobody's."""
    for node in (played.node, played.other):
        assert Path(f"/proc/{node.pid}/comm").read_text() == "bitcoind\n"
        assert psutil.Process(node.pid).uids().effective == (NOBODY if program.root else os.geteuid())


def test_the_node_keeps_to_itself(played: Scene) -> None:
    """It has no connection beyond loopback, waits for none there, and knows no address of its own, though it knows others'."""
    for node in (played.node, played.other):
        ends = psutil.Process(node.pid).net_connections("inet")
        assert ends
        assert {end.laddr.ip for end in ends} | {end.raddr.ip for end in ends if end.raddr} <= {LOOPBACK, "::1"}
        assert node.rpc("getnetworkinfo")["localaddresses"] == []
    assert played.node.rpc("getaddrmaninfo")["all_networks"]["total"] > 50


def test_peers_of_every_kind_are_there(played: Scene) -> None:
    """Either transport, either way, and both programs at the other end."""
    peers = played.node.peers().values()
    assert len({(peer["transport_protocol_type"], peer["inbound"], "Knots" in peer["subver"]) for peer in peers}) == 6


def test_rpc_capture_and_log_agree(played: Scene) -> None:
    """Of every peer, direction and type the three have the same messages and bytes, by the rules of `tests.node.counts`."""
    for node in (played.node, played.other):
        at_rest(lambda node=node: accounts_agree(node, played))


def accounts_agree(node: Node, scene: Scene) -> None:
    """Compare everything about the peers that are there."""
    peers = node.peers()
    capture = only(captured(node), peers)
    assert as_logged(capture) == logged(node, peers)
    spelled_out = {(p.name, True, "ping"): SPELLED_OUT * scene.rounds for p in scene.staying if p.cipher and node is scene.node}
    assert counted_more(peers, capture, refused(node)) == spelled_out


def test_the_node_counts_what_the_peers_said(played: Scene) -> None:
    """What a peer knows that it said and was told is what the capture has; nothing is lost or made up on either way."""
    at_rest(lambda: peers_agree(played))


def peers_agree(scene: Scene) -> None:
    """Compare what the peers counted themselves."""
    scene.settle()
    capture = captured(scene.node)
    for peer in scene.staying:
        in_capture = {(way, kind): n for (whose, way, kind), (n, _) in capture.items() if whose == peer.name}
        uncounted = {(True, "ping"): scene.rounds, (True, ""): scene.rounds} if peer.cipher else {}
        assert in_capture == {key: peer.messages[key] + uncounted.get(key, 0) for key in peer.messages | uncounted}


def test_the_handshake_of_v2_is_in_no_type(played: Scene) -> None:
    """The totals have the handshake of a v2 connection, and decoys; a v1 connection is its messages and nothing more."""
    peers = {peer["addr"]: peer for peer in played.node.peers().values()}
    for own in played.staying:
        told = peers[own.name]
        extra_received = told["bytesrecv"] - sum(told["bytesrecv_per_msg"].values())
        extra_sent = told["bytessent"] - sum(told["bytessent_per_msg"].values())
        decoys = (len(b"decoy") + 20) * played.rounds if own.cipher else 0
        assert extra_received == own.handshake_bytes[True] + decoys
        assert extra_sent == own.handshake_bytes[False]


def test_an_outbound_connection_falls_back_to_v1(node: Node) -> None:
    """A peer that does not speak v2 gets another connection, with another id; for the first a `version` is told, but not sent."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        address = f"{LOOPBACK}:{listener.getsockname()[1]}"
        version = (address, False, "version")
        node.rpc("addnode", address, "onetry", True)
        first, _ = listener.accept()
        with first:
            wait_for(lambda: captured(node).get(version), "a version told")
            told = node.peers()[0]
            assert told["transport_protocol_type"] == "detecting"
            assert told["bytessent_per_msg"] == {}
        with Peer.accept(listener) as second:
            second.handshake()
            second.settle()
            told = node.peers()[1]
            assert told["addr"] == address
            assert told["transport_protocol_type"] == "v1"
            assert captured(node)[version][0] == 2
            assert second.messages[False, "version"] == 1


def test_what_waits_when_a_peer_goes_is_in_no_capture(node: Node) -> None:
    """Messages in one write with a broken one are received, and thrown away unread with the connection."""
    with inbound(node) as peer:
        before = peer.messages[True, "ping"]
        peer.send_raw(b"".join(frame("ping", bytes(8)) for _ in range(50)) + frame("ping", b"", magic=b"nope"))
        assert peer.is_closed()
    assert captured(node)[peer.name, True, "ping"][0] == before


def test_a_peer_can_let_the_log_say_another_type(node: Node) -> None:
    """`<ping>` is `ping` in the log, and nowhere else."""
    with inbound(node) as peer:
        pings = peer.messages[True, "ping"]
        peer.send("<ping>", bytes(8))
        peer.settle()
        peers = node.peers()
        assert logged(node, peers)[peer.name, True, "ping"][0] == pings + 2
        assert captured(node)[peer.name, True, "ping"][0] == pings + 1


def test_every_type_of_connection_can_be_had(node: Node) -> None:
    """Outbound peers of Core's types are made as wanted."""
    with outbound(node, kind="block-relay-only") as first, outbound(node, v2=True) as second:
        told = {peer["addr"]: peer["connection_type"] for peer in node.peers().values()}
        assert told == {first.name: "block-relay-only", second.name: "outbound-full-relay"}
