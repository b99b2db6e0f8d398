"""Calls of a node, over HTTP on loopback."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from peerwatch.sources.rpc.client import RpcClient
from peerwatch.sources.rpc.errors import RpcError, Trouble
from peerwatch.sources.rpc.login import Credentials, Kind, Login
from tests.unit.sources.rpc.server import FakeNode, Raw, error

Make = Callable[..., RpcClient]


@pytest.fixture
def make(node: FakeNode) -> Iterator[Make]:
    """Makes clients of the server, or of another port."""
    made: list[RpcClient] = []

    def one(port: int | None = None, **values: Any) -> RpcClient:
        made.append(RpcClient("127.0.0.1", port or node.port, Credentials(Login(Kind.COOKIE, node.cookie)), **values))
        return made[-1]

    yield one
    for each in made:
        each.close()
        each.close()


def trouble(client: RpcClient, method: str = "getpeerinfo") -> Trouble:
    """What goes wrong; its text is fit for everybody."""
    with pytest.raises(RpcError) as raised:
        client.call(method)
    text = f"{raised.value!r} {raised.value.__cause__} {client!r}"
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
    assert not any(secret in text for secret in ("secret", "alice", "0123abcd", "4567ef00", "127.0.0.1", str(client._url.port)))
    return raised.value.trouble


def talk(answer: bytes, then: threading.Event | None = None) -> tuple[int, threading.Thread]:
    """A server that says something to whoever connects first, whatever that wants. Returns its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as sock:
            sock.recv(1 << 16)
            sock.sendall(answer)
            if then:
                then.wait(20)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return listener.getsockname()[1], thread


def test_an_answer_is_the_json_of_its_result(node: FakeNode, make: Make) -> None:
    """With its size, when it was asked and came, and how long that took; over one connection."""
    node.answers["getpeerinfo"] = [{"id": 7, "addr": "\u20ac"}]
    client, before = make(), time.time_ns()
    replies = [client.call("getpeerinfo", (1,)) for _ in range(3)]
    for reply in replies:
        assert json.loads(reply.result) == node.answers["getpeerinfo"]
        assert before <= reply.asked <= reply.answered <= time.time_ns()
        assert 0 < reply.took < 5_000_000_000
        assert reply.decoding >= 0
        assert reply.size == len(json.dumps({"result": node.answers["getpeerinfo"], "error": None, "id": "peerwatch"}))
    assert node.connections == client.opened == 1


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (Raw(403), Trouble.FORBIDDEN),
        (Raw(503, b"Work queue depth exceeded"), Trouble.RPC),
        (error(-32601), Trouble.UNKNOWN),
        (error(-28), Trouble.WARMING_UP),
        (error(-8), Trouble.RPC),
        (Raw(404), Trouble.UNREADABLE),
        (Raw(500, b"{}"), Trouble.UNREADABLE),
        (Raw(302), Trouble.UNREADABLE),
        (Raw(200, b"secret"), Trouble.UNREADABLE),
        (Raw(200, b"[1]"), Trouble.UNREADABLE),
        (Raw(200, b'{"error": "secret"}'), Trouble.UNREADABLE),
        (Raw(200, b"[" * 100_000), Trouble.UNREADABLE),
        (Raw(200, b'{"\xff": 1, "result": '), Trouble.UNREADABLE),
        # JSON-RPC 2.0 tells of errors with status 200.
        (Raw(200, b'{"error": {"code": -32601, "message": "secret"}, "jsonrpc": "2.0"}'), Trouble.UNKNOWN),
    ],
)
def test_troubles_of_an_answer(node: FakeNode, make: Make, answer: Raw, what: Trouble) -> None:
    """Each is one of a closed set, and the connection can be used again."""
    client = make()
    node.answers |= {"getpeerinfo": answer, "getnettotals": {}}
    assert trouble(client) is what
    assert client.call("getnettotals").result == b"{}"


def test_nobody_there(node: FakeNode, make: Make) -> None:
    """A port that nobody listens at is refused, and so is a node that has gone, until it is back."""
    client = make()
    assert client.call("uptime").result == b"0"
    node.stop()
    assert trouble(client) is Trouble.REFUSED
    node.start("4567ef00")
    assert client.call("uptime").result == b"0"


def test_a_connection_that_the_node_closed_is_made_again(node: FakeNode, make: Make) -> None:
    """One that was idle for too long is no trouble, but it is seen that it is another one."""
    client = make()
    client.call("uptime")
    node.hang_up()
    client.call("uptime")
    assert client.opened == 2


def test_a_new_cookie_is_taken(node: FakeNode, make: Make) -> None:
    """A node that was started again is logged in at without a failed try; one with the cookie of another one is not."""
    client = make()
    client.call("uptime")
    node.restart()
    client.call("uptime")
    node.secret += "x"
    assert trouble(client) is Trouble.UNAUTHORIZED
    node.cookie.unlink()
    assert trouble(client) is Trouble.UNAUTHORIZED


def test_a_cookie_that_changed_without_looking_so_is_read_again(make: Make) -> None:
    """After the login was refused the file is read in any case."""
    client = make()
    client.call("uptime")
    client.credentials._header = "Basic YTpi"
    assert client.call("uptime").result == b"0"


def test_an_answer_is_bounded(node: FakeNode, make: Make) -> None:
    """One that is longer is unreadable, and not kept; one of just that length is read."""
    node.answers["getpeerinfo"] = Raw(200, b'{"result": "%s"}' % (b"x" * 1000))
    assert len(make(most_bytes=1014).call("getpeerinfo").result) == 1002
    assert trouble(make(most_bytes=1013)) is Trouble.UNREADABLE


def test_a_long_answer_is_read_at_once(node: FakeNode, make: Make) -> None:
    """25 MB, as of a full address manager, come whole."""
    node.answers["getrawaddrman"] = Raw(200, b'{"result": "%s"}' % (b"x" * 25_000_000))
    assert len(make().call("getrawaddrman").result) == 25_000_002


def test_a_slow_answer_is_given_up(node: FakeNode, make: Make) -> None:
    """After the time-out, and the next call is not disturbed by it."""
    go_on = threading.Event()
    node.answers["getpeerinfo"] = lambda: go_on.wait(10)
    client, start = make(timeout_s=0.3), time.monotonic()
    assert trouble(client) is Trouble.TIMEOUT
    assert time.monotonic() - start < 3
    go_on.set()
    assert client.call("uptime").result == b"0"


def test_a_dripping_answer_is_given_up(make: Make) -> None:
    """The time-out is of the whole answer, not of each part of it."""
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def serve() -> None:
        with listener, listener.accept()[0] as sock:
            sock.recv(1 << 16)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not done.wait(0.05):
                sock.sendall(b" ")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    start = time.monotonic()
    assert trouble(make(listener.getsockname()[1], timeout_s=0.5)) is Trouble.TIMEOUT
    assert time.monotonic() - start < 3
    done.set()
    thread.join(5)


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (b"", Trouble.REFUSED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12", Trouble.REFUSED),
        (b"SSH-2.0-secret\r\n\r\n", Trouble.UNREADABLE),
        (b"\0" * 200_000, Trouble.UNREADABLE),
    ],
)
def test_what_is_no_rpc_server(make: Make, answer: bytes, what: Trouble) -> None:
    """Who hangs up is away; who says something else is unreadable."""
    port, thread = talk(answer)
    assert trouble(make(port)) is what
    thread.join(5)


def test_packed_answers_are_not_unpacked(make: Make) -> None:
    """An answer is what came over the connection, byte by byte: it cannot become longer than what was bounded."""
    answer = b'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 13\r\n\r\n{"result": 5}'
    port, thread = talk(answer)
    assert make(port).call("uptime").result == b"5"
    thread.join(5)


def test_the_environment_is_not_asked(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy sees the login, whatever the variables say."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert make().call("uptime").result == b"0"


def test_closing_ends_a_call(node: FakeNode, make: Make) -> None:
    """A call that another thread waits for ends at once, and none can be made afterwards."""
    go_on = threading.Event()
    node.answers["getpeerinfo"] = lambda: go_on.wait(20)
    client = make()
    troubles: list[Trouble] = []
    thread = threading.Thread(target=lambda: troubles.append(trouble(client)))
    thread.start()
    while "getpeerinfo" not in node.calls:
        time.sleep(0.01)
    start = time.monotonic()
    client.close()
    thread.join(10)
    assert time.monotonic() - start < 2
    assert troubles == [Trouble.REFUSED]
    assert trouble(client) is Trouble.REFUSED
    go_on.set()


def test_logs_have_no_login(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever level is logged at, neither cookie nor its header is in it."""
    caplog.set_level(logging.DEBUG)
    client = make()
    client.call("uptime")
    header = client.credentials.header()
    assert header
    assert "0123abcd" not in caplog.text
    assert header.split()[1] not in caplog.text
