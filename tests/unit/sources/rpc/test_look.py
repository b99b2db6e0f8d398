"""Asking a node: a server like one, stopped and started again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from peerwatch.sources.gathered import Gathered
from peerwatch.sources.rpc._api import Known
from peerwatch.sources.rpc.login import Kind, Login
from peerwatch.sources.rpc.look import RpcLook
from peerwatch.sources.rpc.registry import methods
from tests.unit.sources.rpc.server import FakeNode, error


class Asking:
    """A look at a server, and what came of it."""

    def __init__(self, node: FakeNode, **every: float) -> None:
        """Every method is answered by an empty object, and asked as fast as it goes."""
        self.node = node
        node.answers = {method.method: {} for method in methods()} | node.answers
        node.answers["getpeerinfo"] = node.answers["getchaintips"] = node.answers["getorphantxs"] = []
        node.answers["getnetworkinfo"] = {"version": 290300, "subversion": "/Satoshi:29.3.0/"}
        self.look = RpcLook(("127.0.0.1", node.port), Login(Kind.COOKIE, node.cookie), Known, every)
        self.rows = Gathered("alice", "rpc", 1)
        self.tables: dict[str, list[dict[str, Any]]] = {}
        self.sessions: set[int] = set()

    def until(self, done: Any, seconds: float = 20) -> None:
        """Look until something is so."""
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, self.tables.get("loss")
            pause = self.look.look(self.rows)
            for chunk in self.rows.take(0):
                self.sessions.add(chunk.identity.session)
                for name, batch in chunk.rows.items():
                    self.tables.setdefault(name, []).extend(batch.to_pylist())
            time.sleep(min(pause, 0.1))

    def losses(self, part: str) -> list[str]:
        """Kinds of loss of a part."""
        return [row["kind"] for row in self.tables.get("loss", []) if row["probe"] == part]


@pytest.fixture
def asking(node: FakeNode) -> Iterator[Asking]:
    """A look at a server that runs."""
    made = Asking(node)
    yield made
    made.look.close()


def test_everything_is_asked(asking: Asking) -> None:
    """Every method is called once within seconds, the version first, and each call is a row with what it cost."""
    asking.until(lambda: {row["method"] for row in asking.tables.get("rpc_call", [])} >= {m.method for m in methods()})
    assert asking.node.calls.index("getnetworkinfo") <= 1
    assert all(row["duration"] > 0 and row["bytes"] > 0 for row in asking.tables["rpc_call"] if row["error"] is None)
    assert asking.tables["node_identity"][0]["version"] == 290300


def test_what_the_node_does_not_have_is_said_once(asking: Asking) -> None:
    """A method that is not known, or may not be called, is blind for the session, and not asked again."""
    del asking.node.answers["getorphantxs"]
    asking.until(lambda: asking.losses("rpc.getorphantxs"))
    asking.until(lambda: asking.node.calls.count("uptime") >= 2)
    assert asking.losses("rpc.getorphantxs") == ["blind"]
    assert asking.node.calls.count("getorphantxs") == 1


def test_a_restart_begins_a_session_and_sight_returns(asking: Asking) -> None:
    """While nobody answers, that is said; a node that was started again has another cookie, and its rows another session."""
    asking.node.begun -= 1000  # it has run for a while: within seconds, two starts could not be told apart
    asking.until(lambda: "node_identity" in asking.tables)
    asking.node.stop()
    asking.until(lambda: asking.losses("rpc"))
    asking.node.start("89abcdef")
    asking.until(lambda: len(asking.tables["node_identity"]) == 2)
    assert len({row["session"] for row in asking.tables["node_identity"]}) == 2
    assert asking.losses("rpc")[-1] == "gap"


def test_no_secret_is_told(asking: Asking) -> None:
    """Neither the cookie nor what the node says of its paths is in any row."""
    asking.node.answers["getmempoolinfo"] = error(-1)
    asking.until(lambda: asking.losses("rpc.getmempoolinfo"))
    asking.node.stop()
    asking.until(lambda: asking.losses("rpc"))
    told = str(asking.tables)
    assert "secret" not in told
    assert asking.node.secret not in told
    assert asking.node.secret.partition(":")[2] not in told
    assert asking.node.secret not in repr(asking.look._credentials)
