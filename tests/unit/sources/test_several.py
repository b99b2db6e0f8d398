"""Sources that come and go."""

from __future__ import annotations

from collections.abc import Sequence

from peerwatch.schema.batch import SECOND
from peerwatch.schema.tables.loss import Loss
from peerwatch.schema.tables.memory_state import MemoryState
from peerwatch.sources._api import Chunk
from peerwatch.sources.gathered import Gathered
from peerwatch.sources.several import LOOK_NS, RETRY_NS, Opening, Part, Several

NOW = 1_760_000_000 * SECOND
RPC, LOG = Part("alice", "rpc"), Part("bob", "log")


class One:
    """A source that gives a row at each read, and fails when told to."""

    live = True

    def __init__(self, part: Part, log: list[str]) -> None:
        """`log` is told what happens."""
        self.name = part.way
        self.fails = False
        self.ends = False
        self._rows = Gathered(part.node, part.way, NOW)
        self._log = log
        log.append(f"open {part.way}")

    def read(self) -> Sequence[Chunk] | None:
        """A row."""
        if self.fails:
            raise OSError("the \x1b[31mfolder is gone")
        if self.ends:
            return None
        self._rows.add(MemoryState, NOW, used=1)
        return self._rows.take(NOW)

    def finish(self) -> Sequence[Chunk]:
        """A last row."""
        self._rows.add(MemoryState, NOW, used=2)
        return self._rows.take(NOW)

    def commit(self) -> None:
        """Tell it."""
        self._log.append(f"commit {self.name}")

    def close(self) -> None:
        """Tell it."""
        self._log.append(f"close {self.name}")


class Bench:
    """Several sources, a clock set by hand, and what is wanted."""

    def __init__(self) -> None:
        """Nothing is wanted."""
        self.now = 0
        self.log: list[str] = []
        self.made: dict[Part, One] = {}
        self.wanted: dict[Part, Opening] = {}
        self.several = Several(lambda: self.wanted, lambda: self.now, lambda: NOW + self.now)

    def want(self, part: Part, what: object = "") -> None:
        """Let a source be wanted."""

        def open_it() -> One:
            self.made[part] = One(part, self.log)
            return self.made[part]

        self.wanted[part] = Opening(what, open_it)


def test_what_is_wanted_is_opened_and_stays() -> None:
    """A source is opened when it is asked for, read as one with the others, and kept when it is no longer named."""
    bench = Bench()
    bench.want(RPC)
    assert [c.identity.node for c in bench.several.read()] == ["alice"]
    bench.want(LOG)
    assert [c.identity.node for c in bench.several.read()] == ["alice"]
    bench.now += LOOK_NS
    del bench.wanted[RPC]
    assert [c.identity.node for c in bench.several.read()] == ["alice", "bob"]
    assert bench.several.parts == {RPC, LOG}
    bench.several.commit()
    assert bench.log == ["open rpc", "open log", "commit rpc", "commit log"]
    bench.several.close()
    assert set(bench.log[4:]) == {"close rpc", "close log"}


def test_another_what_is_another_source() -> None:
    """When what a source is made of changes, it gives what it has left and is opened anew."""
    bench = Bench()
    bench.want(RPC, 8332)
    bench.several.read()
    bench.want(RPC, 8333)
    bench.now += LOOK_NS
    assert [c.rows["memory_state"]["used"].to_pylist() for c in bench.several.read()] == [[2], [1]]
    assert bench.log == ["open rpc", "close rpc", "open rpc"]


def test_a_source_that_fails_is_said_and_opened_again() -> None:
    """Its failure is a `loss` row of its node, the others go on, and its return ends the blindness."""
    bench = Bench()
    bench.want(RPC)
    bench.want(LOG)
    bench.several.read()
    bench.made[RPC].fails = True
    other, told = bench.several.read()
    assert other.identity.node == "bob"
    (row,) = told.rows[Loss.name].to_pylist()
    assert (row["node"], row["source"], row["kind"], row["probe"]) == ("alice", "sources", "blind", "rpc")
    assert row["reason"] == "The \\x1b[31mfolder is gone."
    bench.now += LOOK_NS
    assert len(bench.several.read()) == 1
    bench.now += RETRY_NS
    chunks = bench.several.read()
    assert sorted(c.identity.source for c in chunks) == ["log", "rpc", "sources"]
    assert [c.rows[Loss.name]["kind"].to_pylist() for c in chunks if c.identity.source == "sources"] == [["gap"]]


def test_one_that_cannot_be_opened_is_said() -> None:
    """The reason is in a row, and it is tried again."""
    bench = Bench()

    def refuse() -> One:
        raise PermissionError("closed to us")

    bench.wanted[LOG] = Opening("", refuse)
    (told,) = bench.several.read()
    assert told.rows[Loss.name]["reason"].to_pylist() == ["Closed to us."]
    bench.want(LOG)
    bench.now += RETRY_NS
    assert len(bench.several.read()) == 2


def test_one_that_has_ended_is_not_read_again() -> None:
    """A source with nothing more stays where it is, silent."""
    bench = Bench()
    bench.want(RPC)
    bench.several.read()
    bench.made[RPC].ends = True
    assert bench.several.read() == []
    bench.made[RPC].ends = False
    assert bench.several.read() == []


def test_finish_gives_what_is_left_of_all() -> None:
    """At the end every source is asked once more."""
    bench = Bench()
    bench.want(RPC)
    bench.want(LOG)
    bench.several.read()
    assert [c.rows["memory_state"]["used"].to_pylist() for c in bench.several.finish()] == [[2], [2]]
