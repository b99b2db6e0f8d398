"""Asking a node that is there, goes, comes again, hangs, lies, or may not be asked."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from peerwatch.schema.batch import SECOND
from peerwatch.schema.table import Table
from peerwatch.schema.tables.memory_state import MemoryState
from peerwatch.sources.gathered import Gathered, Rows
from peerwatch.sources.look import LookSource
from peerwatch.sources.rpc import look as module
from peerwatch.sources.rpc._api import Answer, Known, Reader, Request
from peerwatch.sources.rpc.fields import read_object
from peerwatch.sources.rpc.login import Kind, Login
from peerwatch.sources.rpc.look import RpcLook
from peerwatch.sources.rpc.registry import make_readers, methods, tables
from tests.unit.sources.rpc.server import FakeNode, Raw, error

RECORDED = json.loads((Path(__file__).parents[3] / "data/rpc/v29.json").read_text())
FAST = {"getnetworkinfo": 0.1, "getmemoryinfo": 0.1, "uptime": 0.1}


class Numbers:
    """A reader that counts: each row has how many answers this one has read."""

    requests: Sequence[Request] = (
        Request("getnetworkinfo", 60.0),
        Request("getmemoryinfo", 10.0),
        Request("getlater", 10.0, (), 300_000),
    )
    tables: Sequence[type[Table]] = (MemoryState,)

    def __init__(self, known: Known) -> None:
        """Nothing is read."""
        self.known = known
        self.answers = 0

    def read(self, answer: Answer) -> list[Rows]:
        """A row for each answer of `getmemoryinfo`."""
        value = read_object(answer.result).get("used")
        if answer.method == "getnetworkinfo":
            return []
        self.answers += 1
        return [(MemoryState, {"ts": [answer.answered], "used": [value], "total": [self.answers]})]

    def lacking(self) -> Sequence[str]:
        """One that is never there."""
        return ["getmemoryinfo.free"] if self.answers else []


class Failing(Numbers):
    """A reader that has a fault."""

    def read(self, answer: Answer) -> list[Rows]:
        """Fail."""
        raise KeyError(answer.method)


class Asking:
    """A look at a node, and everything that it told."""

    def __init__(self, node: FakeNode, make: Callable[[Known], Sequence[Reader]], every: dict[str, float]) -> None:
        """Nothing is asked yet."""
        self.node = node
        self.knowns: list[Known] = []
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.sessions: list[int] = []
        self.gathered = Gathered("alice", "rpc", 1)
        login = Login(Kind.COOKIE, node.cookie)
        self.look = RpcLook(("127.0.0.1", node.port), login, self._known, every, make)

    def _known(self) -> Known:
        self.knowns.append(Known())
        return self.knowns[-1]

    def go_on(self, seconds: float = 0.6) -> None:
        """Look for some time."""
        self.until(lambda: False, seconds)

    def until(self, holds: Callable[[], Any], seconds: float = 15.0) -> bool:
        """Look until something holds. Returns whether it does."""
        end = time.monotonic() + seconds
        while not (done := bool(holds())) and time.monotonic() < end:
            pause = self.look.look(self.gathered)
            assert 0 <= pause <= 3600
            for chunk in self.gathered.take(0):
                if chunk.identity.session not in self.sessions:
                    self.sessions.append(chunk.identity.session)
                for name, batch in chunk.rows.items():
                    batch.validate(full=True)
                    self.rows.setdefault(name, []).extend(batch.to_pylist())
            time.sleep(max(0.0, min(pause, end - time.monotonic())))
        return done

    def of(self, table: str, **values: Any) -> list[dict[str, Any]]:
        """Rows that have certain values."""
        return [row for row in self.rows.get(table, []) if all(row[name] == value for name, value in values.items())]

    def losses(self) -> list[tuple[str, str]]:
        """Kind and part of what was not seen."""
        return [(row["kind"], row["probe"]) for row in self.of("loss")]


Ask = Callable[..., Asking]


@pytest.fixture
def ask(node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ask]:
    """Asks the server with readers of its own, many times a second."""
    monkeypatch.setattr(module, "UPTIME_S", 0.5)
    monkeypatch.setattr("peerwatch.sources.rpc.schedule.SHORTEST_PAUSE_NS", SECOND // 10)
    node.answers |= {"getnetworkinfo": {"version": 290_300}, "getmemoryinfo": {"used": 1}}
    made: list[Asking] = []

    def one(make: Callable[[Known], Sequence[Reader]] = lambda known: [Numbers(known)], **every: float) -> Asking:
        made.append(Asking(node, make, FAST | every))
        return made[-1]

    yield one
    for each in made:
        each.look.close()
        each.look.close()


def test_everything_is_asked_and_read(node: FakeNode, ask: Ask) -> None:
    """Each table has rows of a node's answers, each call is one of `rpc_call`, and nothing is missed."""
    node.answers |= {method: answer for method, answer in RECORDED.items() if method != "uptime"}
    asking = ask(make_readers, getnetworkinfo=60, uptime=60, getmemoryinfo=60)
    assert asking.until(lambda: {each.method for each in methods()} <= set(node.calls))
    asking.go_on(0.2)
    assert node.calls[:2] == ["getnetworkinfo", "uptime"]
    assert set(node.calls) == {each.method for each in methods()}
    assert asking.rows.keys() == {table.name for table in tables()} | {"rpc_call"} == {table.name for table in asking.look.tables}
    calls = asking.of("rpc_call")
    assert sorted(call["method"] for call in calls) == sorted(node.calls)
    for call in calls:
        assert call["error"] is None
        assert 0 < call["duration"] < 5 * SECOND
        assert 0 <= call["decoding"] < 5 * SECOND
        assert call["bytes"] > 20
        assert call["rows"] > 0 or call["method"] == "uptime"
    assert asking.sessions == [1]
    (identity,) = asking.of("node_identity")
    assert abs(identity["started"] - time.time_ns()) < 20 * SECOND
    assert asking.knowns[0].version == RECORDED["getnetworkinfo"]["version"]


def test_calls_are_made_at_their_intervals(node: FakeNode, ask: Ask) -> None:
    """Those of the configuration, and never two at once."""
    asking = ask(getmemoryinfo=0.3, getnetworkinfo=0)
    asking.go_on(1.6)
    assert "getnetworkinfo" not in node.calls
    assert 4 <= node.calls.count("getmemoryinfo") <= 6
    assert node.calls.count("uptime") >= 8
    scheduled = node.times[2:]  # the first call on a connection is followed by `uptime` at once
    assert min(later - before for before, later in pairwise(scheduled)) > 0.04


def test_what_a_node_does_not_have_is_said_once(node: FakeNode, ask: Ask) -> None:
    """By its version, without asking; the rest goes on."""
    asking = ask()
    asking.go_on(1.5)
    (loss,) = asking.of("loss", probe="rpc.getlater")
    assert (loss["kind"], loss["reason"]) == ("blind", "The node (v29.3) does not know getlater.")
    assert "getlater" not in node.calls
    assert len(asking.of("memory_state")) > 2


@pytest.mark.parametrize(
    ("answer", "reason"), [(error(-32601), "does not know getmemoryinfo"), (Raw(403), "does not let us call")]
)
def test_what_may_not_be_called_is_asked_once(node: FakeNode, ask: Ask, answer: Raw, reason: str) -> None:
    """And said once; a node that is started again is asked again, and then it is seen."""
    node.answers["getmemoryinfo"] = answer
    asking = ask()
    asking.go_on()
    (loss,) = asking.of("loss", probe="rpc.getmemoryinfo")
    assert reason in loss["reason"]
    assert node.calls.count("getmemoryinfo") == 1
    assert not asking.of("loss", probe="rpc")
    node.answers["getmemoryinfo"] = {"used": 1}
    node.begun -= 100
    assert asking.until(lambda: node.calls.count("uptime") > 9)
    node.restart()
    assert asking.until(lambda: asking.of("memory_state"))
    assert ("gap", "rpc.getmemoryinfo") in asking.losses()


def test_fields_that_are_lacking_are_said_once_a_session(ask: Ask) -> None:
    """In one row for each method, with their names."""
    asking = ask()
    asking.go_on()
    (loss,) = asking.of("loss", probe="rpc.getmemoryinfo")
    assert loss["kind"] == "blind"
    assert loss["reason"] == "Answers of the node (v29.3) to getmemoryinfo lack free, or have it otherwise."


def test_a_node_that_was_started_again_has_a_new_session(node: FakeNode, ask: Ask) -> None:
    """No answer of the new node is under the old session, though a call was made before `uptime` told; readers begin anew."""
    asking = ask(uptime=60, getnetworkinfo=60)
    node.begun -= 100
    assert asking.until(lambda: len(asking.of("memory_state")) > 2)
    node.restart()
    node.answers["getmemoryinfo"] = {"used": 2}
    assert asking.until(lambda: len(asking.of("memory_state", used=2)) > 2)
    old, new = asking.sessions
    assert {row["session"] for row in asking.of("memory_state", used=1)} == {old}
    assert {row["session"] for row in asking.of("memory_state", used=2)} == {new}
    assert abs(new - time.time_ns()) < 20 * SECOND
    assert asking.of("memory_state", used=2)[0]["total"] == 1
    assert [len(asking.knowns), asking.knowns[1].version, asking.knowns[1].started] == [2, 290_300, new]
    seqs = [row["seq"] for table in asking.rows.values() for row in table if row["session"] == new]
    assert sorted(seqs) == list(range(len(seqs)))


def test_a_connection_that_broke_is_no_restart(node: FakeNode, ask: Ask) -> None:
    """If `uptime` goes on, so does the session."""
    asking = ask()
    asking.go_on()
    node.hang_up()
    asking.go_on()
    assert asking.sessions == [1]
    assert asking.look._client.opened > 1
    assert not asking.of("loss", probe="rpc")


def test_a_node_that_is_away_is_out_of_sight_until_it_is_back(node: FakeNode, ask: Ask) -> None:
    """Said once, tried ever more seldom, and seen again when it has a new cookie, before the next try is due."""
    asking = ask()
    node.begun -= 100
    asking.go_on()
    node.stop()
    asking.go_on(4)
    assert ("blind", "rpc") in asking.losses()
    assert ("gap", "rpc") not in asking.losses()
    refused = asking.of("rpc_call", error="refused")
    assert 2 <= len(refused) <= 4
    asking.look._retry += 1000 * SECOND
    node.start("4567ef00")
    assert asking.until(lambda: ("gap", "rpc") in asking.losses(), 5)
    (gap,) = asking.of("loss", kind="gap", probe="rpc")
    assert 3 < (gap["last_ts"] - gap["first_ts"]) / SECOND < 10
    assert len(asking.sessions) == 2
    assert asking.until(lambda: asking.of("memory_state", session=asking.sessions[1]))


@pytest.mark.parametrize(("answer", "reason"), [(error(-28), "starting"), (None, "cookie")])
def test_a_node_that_answers_no_call(node: FakeNode, ask: Ask, answer: Raw | None, reason: str) -> None:
    """One that is starting or does not take the login is out of sight as a whole, and only that is said."""
    fine, secret = dict(node.answers), node.secret
    node.answers = dict.fromkeys(fine, answer)
    node.secret = secret if answer else "other"
    asking = ask()
    asking.go_on()
    (loss,) = asking.of("loss")
    assert (loss["kind"], loss["probe"]) == ("blind", "rpc")
    assert reason in loss["reason"]
    node.answers, node.secret = fine, secret
    assert asking.until(lambda: asking.of("memory_state"), 5)
    assert ("gap", "rpc") in asking.losses()


def test_a_node_that_hangs_is_out_of_sight(node: FakeNode, ask: Ask) -> None:
    """When even `uptime` gives no answer; then nothing else is asked until that does."""
    asking, go_on = ask(), threading.Event()
    asking.go_on()
    fine = dict(node.answers)
    node.answers = dict.fromkeys(fine, lambda: go_on.wait(20))
    asking.look._client._timeout_s = 0.3
    assert asking.until(lambda: ("blind", "rpc") in asking.losses())
    node.calls.clear()
    asking.go_on(2)
    assert set(node.calls) <= {"uptime"}
    node.answers = fine
    go_on.set()
    assert asking.until(lambda: ("gap", "rpc") in asking.losses())
    assert asking.sessions == [1]


def test_a_method_that_fails_is_out_of_sight_until_it_answers(node: FakeNode, ask: Ask) -> None:
    """The others are not; the node is asked at once whether it is there, and the method ever more seldom."""
    asking = ask(uptime=60)
    node.answers["getmemoryinfo"] = error(-1)
    assert asking.until(lambda: node.calls.count("getmemoryinfo") >= 2)
    assert node.calls.count("uptime") >= 2
    assert [row["error"] for row in asking.of("rpc_call", method="getmemoryinfo")] == ["rpc"] * node.calls.count("getmemoryinfo")
    node.answers["getmemoryinfo"] = {"used": 1}
    assert asking.until(lambda: asking.of("memory_state"))
    assert asking.losses().count(("blind", "rpc.getmemoryinfo")) == 2  # and the field that is never there
    assert asking.losses().count(("gap", "rpc.getmemoryinfo")) == 1


@pytest.mark.parametrize("answer", [[], "x", Raw(200, b'{"result": {"used": ')])
def test_an_answer_of_another_kind_is_unreadable(node: FakeNode, ask: Ask, answer: Any) -> None:
    """No rows are made of it."""
    node.answers["getmemoryinfo"] = answer
    asking = ask()
    asking.go_on()
    assert {row["error"] for row in asking.of("rpc_call", method="getmemoryinfo")} == {"unreadable"}
    assert not asking.of("memory_state")
    assert asking.losses().count(("blind", "rpc.getmemoryinfo")) == 1


def test_a_reader_with_a_fault_does_not_blind_the_others(ask: Ask) -> None:
    """What it stumbled over is said."""
    asking = ask(lambda known: [Failing(known), Numbers(known)])
    asking.go_on()
    assert asking.of("memory_state")
    (loss,) = asking.of("loss", probe="rpc.getmemoryinfo")
    assert "KeyError" in loss["reason"]


@pytest.mark.parametrize("answer", [Raw(403), error(-32601)])
def test_without_uptime_a_node_that_was_gone_is_a_new_one(node: FakeNode, ask: Ask, answer: Raw) -> None:
    """But a connection that broke is not."""
    asking = ask()
    node.answers["uptime"] = answer
    asking.go_on()
    node.hang_up()
    asking.go_on()
    assert len(asking.of("memory_state")) > 3
    assert asking.sessions == [1]
    node.stop()
    assert asking.until(lambda: ("blind", "rpc") in asking.losses())
    node.start()
    node.answers["uptime"] = answer
    assert asking.until(lambda: len(asking.sessions) == 2 and asking.of("memory_state", session=asking.sessions[1]))


@pytest.mark.parametrize("answer", ["x", None, 1.5])
def test_an_uptime_that_is_none_does_not_blind(node: FakeNode, ask: Ask, answer: Any) -> None:
    """Everything else is read."""
    asking = ask()
    node.answers["uptime"] = answer
    asking.go_on()
    assert asking.of("memory_state")
    assert ("blind", "rpc.uptime") in asking.losses()


def test_nothing_secret_is_in_any_row(node: FakeNode, ask: Ask) -> None:
    """Neither cookie nor where it lies nor what the node said of an error."""
    asking = ask()
    node.answers["getmemoryinfo"] = error(-1)
    asking.go_on()
    secret, node.secret = node.secret, "other"
    asking.go_on(1.5)
    node.stop()
    asking.go_on(1.5)
    text = repr(asking.rows) + repr(asking.look) + repr(vars(asking.look))
    assert asking.of("loss")
    for word in (secret.partition(":")[2], str(node.cookie.parent), "secret", "/home/alice", str(node.port)):
        assert word not in text.replace(repr(vars(asking.look)["_make_known"]), "")


def test_closing_ends_a_call_and_tells_nothing(node: FakeNode, ask: Ask) -> None:
    """A source is closed at once, though the node does not answer."""
    go_on = threading.Event()
    node.answers["getmemoryinfo"] = lambda: go_on.wait(20)
    source = LookSource(ask().look, "alice")
    while "getmemoryinfo" not in node.calls:
        time.sleep(0.01)
    source.read()
    start = time.monotonic()
    source.close()
    assert time.monotonic() - start < 2
    assert "loss" not in {name for chunk in source.finish() for name in chunk.rows}
    go_on.set()
