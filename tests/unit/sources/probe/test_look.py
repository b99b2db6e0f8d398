"""Our peer of a node, from the first attempt on."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from peerwatch.schema.batch import SECOND
from peerwatch.sources.look import LookSource
from peerwatch.sources.probe import look as module
from peerwatch.sources.probe.look import NOT_TALKING, ProbeError, ProbeLook
from peerwatch.sources.probe.transport import V1
from tests.unit.sources.probe.scripted import LOOPBACK, MAGIC, WAIT_S, Node, Side, Taker, ordinary, serve

Holds = Callable[[], Any]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 0.2)


@pytest.fixture
def taker() -> Taker:
    return Taker()


@pytest.fixture
def until(taker: Taker) -> Iterator[Callable[[ProbeLook, Holds], None]]:
    """Lets it look, and takes its rows, until something holds."""
    looks: list[ProbeLook] = []

    def go_on(look: ProbeLook, holds: Holds) -> None:
        looks.append(look)
        end = time.monotonic() + WAIT_S
        while not holds():
            assert time.monotonic() < end, taker.rows
            time.sleep(min(look.look(taker.gathered), 0.02))
            taker.take()

    yield go_on
    for look in looks:
        look.close()


@pytest.mark.parametrize("kind", ["v1", "v2", "auto"])
def test_it_looks_at_a_node(until, taker: Taker, kind: Any) -> None:
    """Connecting, connected, handshake, pong, under the very address that the node sees, with nothing unseen."""
    with Node() as node:
        look = ProbeLook(node.end, "regtest", kind)
        until(look, lambda: "pong" in taker.events())
        look.close()
    assert taker.events() == ["connecting", "connected", "handshake", "pong"]
    assert {row["address"] for row in taker.of("probe")} == set(node.peers)
    assert {row["transport"] for row in taker.of("probe")} == {"v1" if kind == "v1" else "v2"}
    assert taker.of("loss") == []


def test_the_node_sees_nothing_before_the_watcher_knows(taker: Taker) -> None:
    """The connection is made only after the row that tells it has been taken."""
    with Node() as node:
        look = ProbeLook(node.end, "regtest")
        for _ in range(10):
            assert 0 < look.look(taker.gathered) <= 0.1
            time.sleep(0.02)
        assert node.peers == []
        taker.take()
        (row,) = taker.of("probe")
        assert row["event"] == "connecting"
        look.look(taker.gathered)
        end = time.monotonic() + WAIT_S
        while not node.peers and time.monotonic() < end:
            time.sleep(0.01)
        assert node.peers == [row["address"]]
        look.close()


def test_no_connection_while_the_watcher_takes_no_rows(taker: Taker, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while it is given up, and tried again later, and never made."""
    monkeypatch.setattr(module, "NOTED_NS", SECOND // 10)
    with Node() as node:
        look = ProbeLook(node.end, "regtest")
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            time.sleep(min(look.look(taker.gathered), 0.05))
        look.close()
        assert node.peers == []
    taker.take()
    told = taker.of("probe")
    assert [row["event"] for row in told][:3] == ["connecting", "failed", "connecting"]
    assert told[1]["reason"] == "The watcher took no note of the connection in time, so it was not made."
    assert told[1]["duration"] is None


def test_an_absent_node_is_tried_again_and_told_once(until, taker: Taker) -> None:
    """Each attempt is a row; that nothing is seen is one, and so is that it is seen again."""
    with socket.socket() as held:
        held.bind((LOOPBACK, 0))
        end = held.getsockname()
        look = ProbeLook(end, "regtest")
        until(look, lambda: taker.events().count("failed") == 3)
    assert [(row["kind"], row["reason"]) for row in taker.of("loss")] == [("blind", NOT_TALKING)]
    assert {row["reason"] for row in taker.of("probe") if row["event"] == "failed"} == {"The node does not listen there."}
    with Node() as node:
        look._target = node.end
        until(look, lambda: "pong" in taker.events())
        look.close()
    assert [row["kind"] for row in taker.of("loss")] == ["blind", "gap"]


def test_pauses_grow_to_a_bound_and_shrink_after_a_stable_connection(
    until, taker: Taker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a node that refuses is not hammered, and one that was only restarted is back soon."""
    with socket.socket() as held:
        held.bind((LOOPBACK, 0))
        look = ProbeLook(held.getsockname(), "regtest")
        pauses: list[float] = []
        while len(pauses) < 5:
            pause = look.look(taker.gathered)
            taker.take()
            if taker.events()[-1] == "failed" and len(pauses) < taker.events().count("failed"):
                pauses.append(pause)
            time.sleep(min(pause, 0.02))
    assert pauses == [0.05, 0.1, 0.2, 0.2, 0.2]
    monkeypatch.setattr(module, "STABLE_NS", 0)
    with Node(lambda sock: ordinary(sock).greet()) as node:
        look._target = node.end
        until(look, lambda: "closed" in taker.events())
        assert look._pause_s == 0.1
        look.close()


def test_a_closed_connection_is_made_anew(until, taker: Taker) -> None:
    """Under another port, which is told beforehand, too; what came until then is told with the end."""
    with Node(lambda sock: ordinary(sock).greet()) as node:
        look = ProbeLook(node.end, "regtest")
        until(look, lambda: taker.events().count("closed") == 2)
        look.close()
    told = taker.of("probe")
    assert [row["event"] for row in told if row["event"] != "pong"][:8] == ["connecting", "connected", "handshake", "closed"] * 2
    assert len({row["address"] for row in told}) >= 2
    closed = next(row for row in told if row["event"] == "closed")
    assert closed["reason"] == "The node ended the connection."
    assert closed["duration"] > 0
    first = [row["type"] for row in taker.of("probe_traffic") if row["address"] == closed["address"]]
    assert sorted(first) == ["sendaddrv2", "verack", "version", "wtxidrelay"]
    assert taker.of("loss") == []


def test_auto_falls_back_to_v1_and_stays_there(until, taker: Taker) -> None:
    """With a node that ends what it does not understand; later connections are v1 at once."""

    def only_v1(sock: socket.socket) -> None:
        if sock.recv(4, socket.MSG_PEEK) == MAGIC:
            Side(sock).greet()

    with Node(only_v1) as node:
        look = ProbeLook(node.end, "regtest", "auto")
        until(look, lambda: taker.events().count("closed") == 2)
        look.close()
    opened = [(row["event"], row["transport"]) for row in taker.of("probe") if row["event"] in ("failed", "handshake")]
    assert opened == [("failed", "v2"), ("handshake", "v1"), ("handshake", "v1")]
    assert "may not speak transport v2" in next(row["reason"] for row in taker.of("probe") if row["event"] == "failed")
    assert taker.of("loss") == []


def test_auto_stays_with_v2_while_the_node_is_away(until, taker: Taker) -> None:
    """That nobody listens tells nothing of what is spoken there; neither does the end of a v1 connection."""
    with socket.socket() as held:
        held.bind((LOOPBACK, 0))
        look = ProbeLook(held.getsockname(), "regtest", "auto")
        until(look, lambda: taker.events().count("failed") == 3)
        look._kind = "v1"  # as after a node without v2
        until(look, lambda: taker.events().count("failed") == 5)
    assert [row["transport"] for row in taker.of("probe")[::2]] == ["v2", "v2", "v2", "v1", "v2"]


def test_a_node_without_v2_is_told_where_v2_is_wanted(until, taker: Taker) -> None:
    """It is not looked at in another way than was asked for."""
    with Node(lambda sock: sock.recv(24)) as node:
        look = ProbeLook(node.end, "regtest", "v2")
        until(look, lambda: taker.events().count("failed") == 2)
        look.close()
    assert {row["transport"] for row in taker.of("probe")} == {"v2"}
    assert [row["reason"] for row in taker.of("loss")] == [NOT_TALKING]


def test_whatever_the_node_makes_us_stumble_over_ends_one_connection(
    until, taker: Taker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of our own, too, is told as the end of it, and the next one is made."""

    def stumble(_: V1, __: bytes) -> Any:
        raise ZeroDivisionError

    with Node() as node:
        look = ProbeLook(node.end, "regtest")
        with monkeypatch.context() as patched:
            patched.setattr(V1, "feed", stumble)
            until(look, lambda: "failed" in taker.events())
        until(look, lambda: "handshake" in taker.events())
        look.close()
    reasons = [row["reason"] for row in taker.of("probe") if row["event"] == "failed"]
    assert reasons == ["Talking to the node failed (ZeroDivisionError)."]


@pytest.mark.parametrize(
    "host", ["192.0.2.1", "192.168.0.1", "8.8.8.8", "::", "2001:db8::1", "::ffff:127.0.0.1", "example.onion", ""]
)
def test_only_this_machine_is_looked_at(host: str) -> None:
    """Any other target is refused before anything is done, and its address is not repeated."""
    with pytest.raises(ProbeError, match="loopback") as error:
        ProbeLook((host, 8333), "main")
    assert not host or host not in str(error.value)


def test_an_unknown_chain_is_refused() -> None:
    """By name."""
    with pytest.raises(ProbeError, match="regtest"):
        ProbeLook((LOOPBACK, 8333), "dogecoin")


@pytest.mark.parametrize(
    ("host", "local"), [("127.0.0.1", "127.0.0.1:"), ("localhost", "127.0.0.1:"), ("127.9.9.9", "127.0.0.1:"), ("::1", "[::1]:")]
)
def test_our_end_is_named_as_a_node_names_it(taker: Taker, host: str, local: str) -> None:
    """With brackets for IPv6."""
    if ":" in host and not _has_ipv6():
        pytest.skip("this machine has no IPv6")
    look = ProbeLook((host, 1), "main")
    look.look(taker.gathered)
    taker.take()
    look.close()
    address = taker.of("probe")[0]["address"]
    assert address.startswith(local)
    assert address.removeprefix(local).isdecimal()


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_closing_ends_it_soon(taker: Taker) -> None:
    """While it waits for a silent node, in another thread; nothing is done afterwards."""
    with Node(lambda sock: [sock.recv(1000) for _ in range(2)]) as node:
        look = ProbeLook(node.end, "regtest")
        source = LookSource(look, "alice")
        end = time.monotonic() + WAIT_S
        while not node.peers and time.monotonic() < end:
            source.read()
            time.sleep(0.01)
        began = time.monotonic()
        source.close()
        source.close()
        assert time.monotonic() - began < 2
        assert not any(thread.name == "peerwatch-probe" for thread in threading.enumerate())
        assert look.look(taker.gathered) > 60
        assert len(node.peers) == 1


def test_as_a_source() -> None:
    """Through the source that all looks share, with the watcher reading: the whole way to the first pong."""
    with Node(serve) as node:
        source = LookSource(ProbeLook(node.end, "regtest", "auto"), "alice")
        events: list[str] = []
        end = time.monotonic() + WAIT_S
        while "pong" not in events and time.monotonic() < end:
            for chunk in source.read():
                assert chunk.identity.source == "probe"
                if "probe" in chunk.rows:
                    events += chunk.rows["probe"]["event"].to_pylist()
            time.sleep(0.01)
        source.close()
    assert events == ["connecting", "connected", "handshake", "pong"]
