"""Bytes to messages and back, over both transports."""

from __future__ import annotations

import contextlib
import itertools
import secrets
import subprocess
import sys

import pytest
from btclib.hashes import hash256
from btclib.p2p import Message
from btclib.p2p.bip324 import Cipher, contents_from_message, message_from_contents
from ecc.ecc import ellswift
from hypothesis import given
from hypothesis import strategies as st

from peerwatch.sources.probe.transport import NETWORKS, V1, V2, Transport, TransportError, magic_of
from peerwatch.wire.raw import OTHER
from tests.unit.sources.probe.scripted import HEADER, MAGIC

MESSAGES = [("version", b"v" * 100), ("verack", b""), ("inv", b"i" * 70_000), ("unknowntype", b"\0\1"), ("ping", b"12345678")]
WITHOUT = """
import sys
sys.modules["btclib"] = None
from peerwatch.sources.probe.look import ProbeLook
from peerwatch.sources.gathered import Gathered
rows = Gathered("alice", "probe", 1)
look = ProbeLook(("127.0.0.1", 1), "regtest")
print(look.look(rows), look.look(rows))
(chunk,) = rows.take(2)
print(chunk.rows["loss"]["reason"].to_pylist(), list(chunk.rows))
look.close()
"""


class Responder:
    """The other end of a v2 connection."""

    def __init__(self, probe: V2) -> None:
        """Have a key of its own."""
        key = secrets.token_bytes(32)
        self.ours = ellswift.create(key)
        self.cipher = Cipher(key, self.ours, probe.greeting(), initiator=False, magic=MAGIC)

    def opening(self, garbage: bytes = b"", decoys: int = 0) -> bytes:
        """Key, garbage, decoys, and the version packet."""
        packets, aad = b"", garbage
        for _ in range(decoys):
            packets += self.cipher.encrypt(b"x" * 40, aad, ignore=True)
            aad = b""
        return self.ours + garbage + self.cipher.send_garbage_terminator + packets + self.cipher.encrypt(b"ignored", aad)

    def hears(self, data: bytes) -> list[bytes]:
        """Contents of packets."""
        heard = []
        while data:
            length = 1 + self.cipher.decrypt_length(data[:3]) + 16
            heard.append(self.cipher.decrypt(data[3 : 3 + length])[0])
            data = data[3 + length :]
        return heard


def feed(transport: Transport, data: bytes, cuts: list[int]) -> tuple[list[tuple[str, bytes]], bytes]:
    """Feed bytes in pieces."""
    said, reply = [], b""
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for first, stop in itertools.pairwise(edges):
        more, answer = transport.feed(data[first:stop])
        said += more
        reply += answer
    return said, reply


cuts = st.lists(st.integers(0, 80_000), max_size=20)


@given(cuts)
def test_v1_messages_come_however_they_are_cut(cuts: list[int]) -> None:
    """The same messages, in order; and what we encode is what btclib encodes."""
    data = b"".join(Message(MAGIC, kind, payload).serialize() for kind, payload in MESSAGES)
    assert feed(V1(MAGIC), data, cuts) == (MESSAGES, b"")
    assert b"".join(V1(MAGIC).encode(*message) for message in MESSAGES) == data


@given(cuts, st.integers(0, 4095), st.integers(0, 3))
def test_v2_messages_come_however_they_are_cut(cuts: list[int], garbage: int, decoys: int) -> None:
    """After any garbage and decoys; and the other side reads what we encode."""
    probe = V2(MAGIC)
    other = Responder(probe)
    data = other.opening(secrets.token_bytes(garbage), decoys)
    for kind, payload in MESSAGES:
        data += other.cipher.encrypt(contents_from_message(kind, payload))
        data += b"".join(other.cipher.encrypt(b"decoy", ignore=True) for _ in range(decoys))
    assert not probe.ready
    said, reply = feed(probe, data, cuts)
    assert said == MESSAGES
    assert probe.ready
    assert reply[:16] == other.cipher.recv_garbage_terminator
    assert other.hears(reply[16:]) == [b""]
    ours = b"".join(probe.encode(*message) for message in MESSAGES)
    assert [message_from_contents(contents) for contents in other.hears(ours)] == MESSAGES


@pytest.mark.parametrize(
    "data",
    [
        b"\xf9\xbe\xb4\xd9",  # main
        b"GET / HTTP/1.1\r\n",
        b"\xfa",  # could be, but …
        HEADER.pack(MAGIC, b"inv", 4_000_001, b"\0" * 4),
        HEADER.pack(MAGIC, b"inv", 0, b"\0" * 4),  # no such checksum
        HEADER.pack(MAGIC, b"a\0b", 0, hash256(b"")[:4]),
        Message(MAGIC, "verack").serialize() + Message(b"\xf9\xbe\xb4\xd9", "verack").serialize(),
    ],
)
def test_v1_refuses_what_is_no_message(data: bytes) -> None:
    """Another chain's, too long, or damaged; a first byte alone says nothing yet."""
    probe = V1(MAGIC)
    if data == b"\xfa":
        assert probe.feed(data) == ([], b"")
        data = b"\0"
    with pytest.raises(TransportError, match=r"^The node.*\.$"):
        probe.feed(data)


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=10), st.sampled_from(["v1", "v1 of this chain", "v2", "v2 agreed"]))
def test_any_bytes_are_messages_or_refused(pieces: list[bytes], start: str) -> None:
    """Whatever comes, there is no other error."""
    probe: Transport = V1(MAGIC) if start.startswith("v1") else V2(MAGIC)
    if start == "v1 of this chain":
        probe.feed(MAGIC)
    elif isinstance(probe, V2) and start == "v2 agreed":
        probe.feed(Responder(probe).opening())
    with contextlib.suppress(TransportError):
        for piece in pieces:
            probe.feed(piece)
    assert len(probe._buffer) <= 64 + sum(map(len, pieces))


def test_a_message_that_never_ends_holds_no_more_than_its_bytes() -> None:
    """Nothing is allocated for what is only claimed."""
    probe = V1(MAGIC)
    probe.feed(HEADER.pack(MAGIC, b"inv", 4_000_000, b"\0" * 4))
    for _ in range(10):
        assert probe.feed(b"x" * 1000) == ([], b"")
    assert len(probe._buffer) == HEADER.size + 10_000


def test_v2_refuses_what_is_no_handshake() -> None:
    """Garbage that does not end within its limit."""
    probe = V2(MAGIC)
    other = Responder(probe)
    probe.feed(other.ours + b"g" * 4110)
    with pytest.raises(TransportError, match="no handshake"):
        probe.feed(b"g")


def test_v2_refuses_a_forged_packet() -> None:
    """One bit is enough."""
    probe = V2(MAGIC)
    other = Responder(probe)
    probe.feed(other.opening())
    packet = bytearray(other.cipher.encrypt(contents_from_message("ping", b"12345678")))
    packet[-1] ^= 1
    with pytest.raises(TransportError, match="not encrypted for us"):
        probe.feed(bytes(packet))


def test_v2_refuses_garbage_that_is_not_what_was_authenticated() -> None:
    """The first packet vouches for the garbage before it."""
    probe = V2(MAGIC)
    other = Responder(probe)
    data = bytearray(other.opening(b"garbage"))
    data[64] ^= 1
    with pytest.raises(TransportError, match="not encrypted for us"):
        probe.feed(bytes(data))


def test_v2_refuses_a_packet_that_no_message_needs() -> None:
    """By its length alone, before any of it has come."""
    probe = V2(MAGIC)
    other = Responder(probe)
    probe.feed(other.opening())
    with pytest.raises(TransportError, match="longer than any message"):
        probe.feed(other.cipher.encrypt(b"x" * 4_000_014)[:3])


def test_v2_passes_over_types_that_it_cannot_read() -> None:
    """As Core does; they are counted under one name."""
    probe = V2(MAGIC)
    other = Responder(probe)
    probe.feed(other.opening())
    contents = [b"", b"\x1d", b"\xff", b"\x00short", b"\x00\xff" + b"\0" * 11]
    said, _ = probe.feed(b"".join(other.cipher.encrypt(each) for each in contents))
    assert [kind for kind, _ in said] == [OTHER] * 5
    said, _ = probe.feed(other.cipher.encrypt(contents_from_message("pong", b"12345678")))
    assert said == [("pong", b"12345678")]


def test_chains_have_their_own_magic() -> None:
    """As in Core's kernel/chainparams.cpp."""
    known = {"main": "f9beb4d9", "test": "0b110907", "testnet4": "1c163f28", "signet": "0a03cf40", "regtest": "fabfb5da"}
    assert {chain: magic_of(chain).hex() for chain in NETWORKS} == known


def test_without_btclib_it_says_so() -> None:
    """Importing works, and the source tells once what is missing."""
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["3600.0 3600.0", "['The probe needs btclib: install peerwatch[probe].'] ['loss']"]
