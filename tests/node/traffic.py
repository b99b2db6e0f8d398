"""Scripted traffic: two nodes, and peers of the first that say everything there is, right and wrong.

Every step leaves the scene as it found it, so that steps can be played as often as wanted. What a step says does not depend on
chance, but for nonces and keys.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from btclib.p2p import AddrV2, BIP155Network, NetworkAddressV2

from tests.node.coins import FEE, MATURITY, Coin, Transaction, coinbase, mine, spend
from tests.node.harness import LOOPBACK, Node, wait_for
from tests.node.peer import MAGIC, Peer, frame

COINBASES = 10
SPLIT = 200
"""Coins that one coinbase becomes: of later ones there is little, since the subsidy of this chain halves every 150 blocks."""
TX, WTX, BLOCK, WITNESS = 1, 5, 2, 1 << 30
"""Kinds of inventory (BIP 144, 339)."""
TOO_LARGE = 4_000_001
"""Payload bytes: net.h, MAX_PROTOCOL_MESSAGE_LENGTH is 4,000,000."""
ADDRESSES = 40
UNKNOWN = 200
"""Announcements of things that there are not."""


@dataclass
class Scene:
    """Two connected nodes, and peers of the first that stay."""

    node: Node
    other: Node
    staying: list[Peer] = field(default_factory=list)
    coinbases: list[Coin] = field(default_factory=list)
    coins: list[Coin] = field(default_factory=list)
    number: Iterator[int] = field(default_factory=itertools.count)
    """Makes things different that must not be the same twice."""
    rounds: int = 0
    """How often everything was played."""

    def hash(self, what: str = "") -> bytes:
        """The hash of something that there is not."""
        return sha256(f"{what}{next(self.number)}".encode()).digest()

    def coin(self) -> Coin:
        """One that can be spent."""
        if not self.coins:
            split = spend(self.coinbases.pop(), SPLIT, SPLIT * FEE)
            self.node.rpc("sendrawtransaction", split.raw.hex())
            mine(self.node)
            self.same_tip()
            self.coins = list(split.coins)
        return self.coins.pop()

    def same_tip(self) -> None:
        """Until both nodes have the same chain."""
        wait_for(lambda: self.node.rpc("getbestblockhash") == self.other.rpc("getbestblockhash"), "one chain")

    def settle(self) -> None:
        """Until all that the peers that stay have said is processed."""
        for peer in self.staying:
            peer.settle()


@contextlib.contextmanager
def scene(node: Node, other: Node) -> Iterator[Scene]:
    """Connect the nodes to each other over either transport and way, and four peers: either way, over either transport."""
    made = Scene(node, other)
    try:
        early = mine(node, COINBASES + MATURITY)  # recent blocks: the nodes are not in their initial download
        made.coinbases = [coinbase(node, block) for block in early[:COINBASES]]
        node.connect(other, v2=True)
        other.connect(node, v2=False)
        for v2 in (False, True):
            made.staying.append(inbound(node, v2=v2))
            made.staying.append(outbound(node, v2=v2))
        made.same_tip()
        yield made
    finally:
        for peer in made.staying:
            peer.close()


def inbound(node: Node, *, v2: bool = False) -> Peer:
    """A peer that connects to a node, and is through the handshake."""
    peer = Peer.connect(node.port, v2=v2)
    peer.handshake("wtxidrelay", "sendaddrv2")
    peer.settle()
    return peer


def outbound(node: Node, *, v2: bool = False, kind: str = "outbound-full-relay") -> Peer:
    """A peer that a node connects to, of one of Core's connection types, through the handshake."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        node.rpc("addconnection", f"{LOOPBACK}:{listener.getsockname()[1]}", kind, v2)
        peer = Peer.accept(listener, v2=v2)
    peer.handshake("wtxidrelay", "sendaddrv2", services=1 | 8)  # NODE_NETWORK, NODE_WITNESS
    return peer


def compact(count: int) -> bytes:
    """A compact size."""
    return bytes([count]) if count < 0xFD else b"\xfd" + struct.pack("<H", count)


def inventory(kind: int, hashes: Sequence[bytes]) -> bytes:
    """Payload of inv, getdata or notfound."""
    return compact(len(hashes)) + b"".join(struct.pack("<I", kind) + each for each in hashes)


def locator(hashes: Sequence[bytes]) -> bytes:
    """Payload of getheaders or getblocks, up to whatever there is."""
    return struct.pack("<I", 70016) + compact(len(hashes)) + b"".join(hashes) + bytes(32)


def address_list(scene: Scene) -> list[tuple[int, bytes, int]]:
    """Time, IPv4 address and port of public addresses."""
    first = next(scene.number)
    now = int(time.time()) - 3600
    return [(now - i, bytes([20 + first % 100, i, first // 100 % 250, 1]), 8333) for i in range(ADDRESSES)]


def blocks(scene: Scene) -> None:
    """Either node mines, and the other one gets it, as a compact block or by its header."""
    for node in (scene.node, scene.other):
        mine(node, 2)
        scene.same_tip()


def transactions(scene: Scene) -> None:
    """Transactions go both ways and into a block; one is announced and delivered by a peer."""
    first = spend(scene.coin(), 3)
    scene.node.rpc("sendrawtransaction", first.raw.hex())
    wait_for(lambda: in_mempool(scene.other, first), "a transaction at the other node")
    second = [spend(coin) for coin in first.coins]
    for tx in second[:2]:
        scene.other.rpc("sendrawtransaction", tx.raw.hex())
    peer = scene.staying[0]
    peer.send("inv", inventory(WTX, [second[2].wtxid]))
    peer.until("getdata")
    peer.send("tx", second[2].raw)
    wait_for(lambda: all(in_mempool(node, tx) for node in (scene.node, scene.other) for tx in second), "all of them everywhere")
    mine(scene.other)
    scene.same_tip()


def in_mempool(node: Node, tx: Transaction) -> bool:
    """Whether a node has an unconfirmed transaction."""
    return tx.txid[::-1].hex() in node.rpc("getrawmempool")


def pings(scene: Scene) -> None:
    """Both sides ping."""
    scene.node.rpc("ping")
    for peer in scene.staying:
        peer.until("ping")
        peer.send("pong", bytes(8))  # not the nonce that was asked for
        peer.send("ping", bytes(8))
        peer.send("ping")  # without a nonce
    scene.settle()


def addresses(scene: Scene) -> None:
    """Addresses, in either form, and a peer that asks for them, twice."""
    for peer in scene.staying:
        entries = [NetworkAddressV2(ts, 1, BIP155Network.IPV4, host, port) for ts, host, port in address_list(scene)]
        peer.send("addrv2", AddrV2(entries).serialize())
    with Peer.connect(scene.node.port) as old:  # one that does not understand addrv2
        old.handshake()
        old.send("getaddr")
        old.send("getaddr")
        entry = b"".join(
            struct.pack("<IQ", ts, 1) + bytes(10) + b"\xff\xff" + host + struct.pack(">H", port)
            for ts, host, port in address_list(scene)[:5]
        )
        old.send("addr", compact(5) + entry)
        old.send("addr", compact(0))
        old.settle()
    scene.settle()


def announcements(scene: Scene) -> None:
    """Transactions and blocks that nobody has, announced, asked for, and not delivered."""
    for peer in scene.staying:
        unknown = [scene.hash("tx") for _ in range(UNKNOWN)]
        peer.send("inv", inventory(WTX, unknown))
        peer.send("inv", inventory(BLOCK, [scene.hash("block")]))
        peer.send("getdata", inventory(TX, [scene.hash("tx") for _ in range(3)]))
        peer.send("getdata", inventory(BLOCK | WITNESS, [scene.hash("block")]))
        peer.settle()
        peer.send("notfound", inventory(WTX, unknown))  # the node remembers 5000 announcements of a peer, and then takes no more
    scene.settle()


def chain_questions(scene: Scene) -> None:
    """Headers, blocks and filters asked for, and settings said."""
    tip = bytes.fromhex(scene.node.rpc("getbestblockhash"))[::-1]
    genesis = bytes.fromhex(scene.node.rpc("getblockhash", 0))[::-1]
    header = bytes.fromhex(scene.node.rpc("getblockheader", tip[::-1].hex(), False))
    for peer in scene.staying:
        peer.send("getheaders", locator([genesis]))
        peer.send("getblocks", locator([tip]))
        peer.send("getdata", inventory(BLOCK | WITNESS, [tip]))
        peer.send("headers", compact(1) + header + b"\0")
        peer.send("headers", compact(0))
        peer.send("feefilter", struct.pack("<q", 1000 + next(scene.number) % 1000))
        peer.send("sendheaders")
        peer.send("sendcmpct", b"\0" + struct.pack("<Q", 2))
        peer.until("headers")
    scene.settle()


def oddities(scene: Scene) -> None:
    """Messages that no node knows, and those that the transport refuses without hanging up."""
    for peer in scene.staying:
        for kind in ("nonsense", "Ping", "ping pong", "a<b>c", "x (5 bytes)", "twelve_bytes"):
            peer.send(kind, bytes(len(kind)))
        if peer.cipher is None:
            peer.send_raw(frame("ping", bytes(8), checksum=b"oops"))
            peer.send_raw(frame("pi\1g", bytes(8)))
        else:
            peer.send_contents(b"\0" + b"ping".ljust(12, b"\0") + bytes(8))  # the long form of a type that has a short one
            peer.send_contents(bytes([30]) + b"abc")  # a number that is reserved
            peer.send_contents(bytes([200]) + b"abc")  # one that there is not
            peer.send_contents(b"")
            peer.send_contents(b"decoy", ignore=True)
    scene.settle()


def orphans(scene: Scene) -> None:
    """A child before its parent, which comes later; and one whose parent never comes."""
    parent = spend(scene.coin(), 2)
    child = spend(parent.coins[0])
    lost = spend(Coin(scene.hash("parent"), 0, 100_000_000))
    peer = scene.staying[0]
    for tx in (child, lost, parent):
        peer.send("tx", tx.raw)
    wait_for(lambda: in_mempool(scene.node, child), "the orphan adopted")
    mine(scene.node)
    scene.same_tip()
    peer.settle()


def refused(scene: Scene) -> None:
    """A transaction that breaks policy, one that breaks consensus rules, and a block that does."""
    cheap = spend(scene.coin(), fee=0)
    greedy = spend(scene.coin(), fee=-1_000_000)
    with inbound(scene.node) as peer:
        for tx in (cheap, greedy):
            peer.send("tx", tx.raw)
        with contextlib.suppress(EOFError, ConnectionError):  # some versions hang up
            peer.settle()
    with inbound(scene.node) as peer:
        made = scene.other.rpc("generateblock", "raw(51)", [], False)["hex"]
        peer.send("block", bytes.fromhex(made)[:-1] + b"\1")  # not what its header commits to
        peer.is_closed()


def breaches(scene: Scene) -> None:
    """Peers that the node hangs up on, or that hang up themselves."""
    for last in (frame("ping", bytes(8), magic=MAGIC[::-1]), frame("ping", bytes(8), size=TOO_LARGE)):
        with inbound(scene.node) as peer:
            peer.send_raw(last)
            assert peer.is_closed()
    with inbound(scene.node, v2=True) as peer:
        peer.send_forged("ping", bytes(8))
        assert peer.is_closed()
    with inbound(scene.node) as peer:
        peer.send("inv", inventory(WTX, [scene.hash("tx") for _ in range(50_001)]))
        assert peer.is_closed()
    with Peer.connect(scene.node.port) as peer:
        peer.send("version", struct.pack("<i", 1) + bytes(100))
        assert peer.is_closed()
    with inbound(scene.node) as peer:
        peer.send_raw(b"".join(frame("ping", bytes(8)) for _ in range(500)))  # and goes before they are answered


def comings_and_goings(scene: Scene) -> None:
    """Short connections of all types."""
    for kind in ("block-relay-only", "addr-fetch", "feeler"):
        with outbound_until_closed(scene.node, kind):
            pass
    for _ in range(3):
        Peer.connect(scene.node.port).close()
        inbound(scene.node, v2=True).close()
    number = scene.node.connect(scene.other, v2=False, as_friend=False)
    scene.node.rpc("disconnectnode", "", number)
    wait_for(lambda: number not in scene.node.peers(), "the peer gone")


@contextlib.contextmanager
def outbound_until_closed(node: Node, kind: str) -> Iterator[Peer]:
    """An outbound peer of a type that the node may hang up on in the middle of the handshake."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        node.rpc("addconnection", f"{LOOPBACK}:{listener.getsockname()[1]}", kind, False)
        peer = Peer.accept(listener)
    with peer, contextlib.suppress(EOFError, ConnectionError):
        peer.handshake(services=1 | 8)
        yield peer
        return
    yield peer


STEPS: tuple[Callable[[Scene], None], ...] = (
    blocks,
    transactions,
    pings,
    addresses,
    announcements,
    chain_questions,
    oddities,
    orphans,
    refused,
    breaches,
    comings_and_goings,
)
