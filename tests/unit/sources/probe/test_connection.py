"""A connection to a listening socket that behaves as a node does, or does not."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from peerwatch.schema.batch import SECOND
from peerwatch.sources.probe import connection as module
from peerwatch.sources.probe.connection import Connection, Ended
from peerwatch.sources.probe.dialogue import Dialogue
from peerwatch.sources.probe.traffic import Traffic
from peerwatch.sources.probe.transport import TRANSPORTS, Kind
from peerwatch.wire.raw import TypeNames
from tests.unit.sources.probe.scripted import LOOPBACK, MAGIC, WAIT_S, Node, Side, Taker, ordinary

both = pytest.mark.parametrize("kind", ["v1", "v2"])
Make = Callable[[tuple[str, int], Kind], Connection]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Connection] = []

    def new(target: tuple[str, int], kind: Kind) -> Connection:
        dialogue = Dialogue(relay=False, addresses=False)
        made.append(Connection(target, LOOPBACK, TRANSPORTS[kind](MAGIC), dialogue, Traffic(TypeNames())))
        return made[-1]

    yield new
    for each in made:
        each.close()


def until(connection: Connection, taker: Taker, holds: Callable[[], Any]) -> None:
    """Step until something holds."""
    end = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < end
        connection.step(taker.gathered)
        taker.take()


def ends(connection: Connection, taker: Taker) -> str:
    """Step until the connection has ended; why."""
    with pytest.raises(Ended) as ended:
        until(connection, taker, lambda: False)
    return str(ended.value)


@both
def test_how_long_things_take_is_measured(make: Make, monkeypatch: pytest.MonkeyPatch, kind: Kind) -> None:
    """Connecting, shaking hands and the time from ping to pong, of a node that takes its time."""
    monkeypatch.setattr(module, "PING_NS", SECOND // 10)

    def slow(sock: socket.socket) -> None:
        side = ordinary(sock)
        time.sleep(0.2)
        side.greet()
        side.serve(pong_delay_s=0.1)

    taker = Taker()
    with Node(slow) as node:
        connection = make(node.end, kind)
        connection.connect(taker.gathered)
        until(connection, taker, lambda: taker.events().count("pong") == 3)
        connection.close()
        assert node.peers == [connection.address]
    told = taker.of("probe")
    assert [row["event"] for row in told] == ["connected", "handshake", *["pong"] * 3]
    assert {(row["address"], row["transport"], row["reason"]) for row in told} == {(connection.address, kind, None)}
    connected, handshake, *pongs = (row["duration"] / SECOND for row in told)
    assert 0 < connected < 0.2
    assert 0.2 <= handshake < 2
    assert all(0.1 <= pong < 1 for pong in pongs)


@both
def test_what_was_sent_is_told_every_minute(make: Make, monkeypatch: pytest.MonkeyPatch, kind: Kind) -> None:
    """From the handshake on, and what was told is not told again."""
    monkeypatch.setattr(module, "TRAFFIC_NS", SECOND // 5)

    def chatty(sock: socket.socket) -> None:
        side = ordinary(sock)
        side.greet()
        for _ in range(3):
            side.say("addr", b"\x02" + bytes(60))
        side.say("ping", b"12345678")
        side.serve()

    taker = Taker()
    with Node(chatty) as node:
        connection = make(node.end, kind)
        connection.connect(taker.gathered)
        until(connection, taker, lambda: any(row["type"] == "ping" for row in taker.of("probe_traffic")))
        time.sleep(0.3)
        before = len(taker.of("probe_traffic"))
        connection.step(taker.gathered)
        taker.take()
        assert len(taker.of("probe_traffic")) - before <= 1  # pongs
        connection.close()
    sums: dict[str, tuple[int, int, int]] = {}
    for row in taker.of("probe_traffic"):
        old = sums.get(row["type"], (0, 0, 0))
        sums[row["type"]] = (old[0] + row["messages"], old[1] + row["bytes"], old[2] + row["entries"])
    assert sums["addr"] == (3, 183, 6)
    assert sums["ping"] == (1, 8, 0)
    assert sums["version"][0] == sums["verack"][0] == sums["wtxidrelay"][0] == sums["sendaddrv2"][0] == 1


def test_nobody_listens(make: Make) -> None:
    """A node that is not there is told as such, with nothing connected."""
    with socket.socket() as sock:
        sock.bind((LOOPBACK, 0))
        taker = Taker()
        with pytest.raises(Ended, match=r"The node does not listen there\."):
            make(sock.getsockname(), "v1").connect(taker.gathered)
        taker.take()
    assert taker.rows == []


@pytest.mark.parametrize(
    ("kind", "script", "why"),
    [
        ("v1", lambda _: None, "The node ended the connection before the handshake was over."),
        ("v2", lambda sock: sock.recv(24), "The node ended the connection before the encryption was agreed on: it may not speak"),
        (
            "v1",
            lambda sock: sock.sendall(b"SSH-2.0-OpenSSH\r\n") or sock.recv(1000),
            "The node's messages are not of this chain.",
        ),
        ("v2", lambda sock: sock.sendall(bytes(5000)) or sock.recv(1000), "The node sent bytes that are no handshake"),
        ("v1", lambda sock: ordinary(sock).greet(), "The node ended the connection."),
        ("v2", lambda sock: ordinary(sock).greet(), "The node ended the connection."),
    ],
)
def test_why_it_ended_is_told(make: Make, kind: Kind, script: Callable[[socket.socket], Any], why: str) -> None:
    """In our own words, whatever the node did."""

    def then_close(sock: socket.socket) -> None:
        script(sock)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(1000):
            pass

    taker = Taker()
    with Node(then_close) as node:
        connection = make(node.end, kind)
        connection.connect(taker.gathered)
        assert ends(connection, taker).startswith(why)
        connection.close()
    assert connection.is_connected
    assert connection.is_open == (why == "The node ended the connection.")


def test_a_silent_node_is_left_after_a_while(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that accepts and never says anything."""
    monkeypatch.setattr(module, "HANDSHAKE_NS", SECOND // 2)
    monkeypatch.setattr(module, "WAIT_S", 0.1)
    taker = Taker()
    with Node(lambda sock: [sock.recv(1000) for _ in range(2)]) as node:
        connection = make(node.end, "v1")
        connection.connect(taker.gathered)
        began = time.monotonic()
        assert ends(connection, taker) == "The handshake was not over after a minute."
        assert 0.4 < time.monotonic() - began < 3
        connection.close()


def test_a_node_that_answers_no_ping_is_left(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """And asked only once meanwhile."""
    monkeypatch.setattr(module, "PONG_NS", SECOND)
    monkeypatch.setattr(module, "PING_NS", SECOND // 10)
    monkeypatch.setattr(module, "WAIT_S", 0.1)
    sides: list[Side] = []

    def deaf(sock: socket.socket) -> None:
        sides.append(Side(sock))
        sides[0].greet()
        while True:
            sides[0].read()

    taker = Taker()
    with Node(deaf) as node:
        connection = make(node.end, "v1")
        connection.connect(taker.gathered)
        assert ends(connection, taker) == "The node did not answer a ping for twenty minutes."
        connection.close()
    assert [kind for kind, _ in sides[0].heard].count("ping") == 1


def test_a_node_that_does_not_read_is_left(make: Make) -> None:
    """It asks for more answers than it takes."""

    def greedy(sock: socket.socket) -> None:
        side = Side(sock)
        side.greet()
        side.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        many = b"".join(_framed("ping", b"12345678") for _ in range(1000))
        for _ in range(1000):
            side.sock.sendall(many)

    taker = Taker()
    with Node(greedy) as node:
        connection = make(node.end, "v1")
        connection._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        connection.connect(taker.gathered)
        assert ends(connection, taker) == "The node does not read what it is sent."
        connection.close()


def _framed(kind: str, payload: bytes) -> bytes:
    return TRANSPORTS["v1"](MAGIC).encode(kind, payload)
