"""The debuglog source: rows from a log that is written, with restarts on either side."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from peerwatch.schema.batch import SECOND
from peerwatch.schema.table import Identity
from peerwatch.sources._api import Chunk
from peerwatch.sources.debuglog.source import DebugLogSource

REAL = Path(__file__).parents[3] / "data/log/knots29.log"
NOW = 1_795_580_900 * SECOND
STAMP = b"2026-11-25T04:28:31Z "


class Log:
    """A log, its source and a clock set by hand."""

    def __init__(self, folder: Path) -> None:
        """An empty log."""
        self.path = folder / "debug.log"
        self.path.write_bytes(b"")
        self.now = 0
        self.chunks: list[Chunk] = []
        self.source = self.opened()

    def opened(self, position: Any = None) -> DebugLogSource:
        """A source that goes on at a position."""
        return DebugLogSource(self.path, "alice", position=position, clock=lambda: self.now, utc=lambda: NOW + self.now)

    def write(self, *lines: bytes) -> None:
        """Write whole lines."""
        with self.path.open("ab") as file:
            file.write(b"".join(STAMP + line + b"\n" for line in lines))

    def read(self) -> list[Chunk]:
        """Read a second later."""
        self.now += SECOND
        chunks = list(self.source.read())
        self.chunks += chunks
        return chunks

    def restart(self) -> None:
        """Let another source go on from the position of the last chunk."""
        self.source.close()
        self.source = self.opened(self.chunks[-1].position)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """All rows of a table so far."""
        return [row for chunk in self.chunks if table in chunk.rows for row in chunk.rows[table].to_pylist()]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """An empty log that is followed."""
    made = Log(tmp_path)
    made.read()
    return made


def test_lines_become_rows(log: Log) -> None:
    """What is understood is an event with its fields and the time of the line, messages are sums, and all lines are counted."""
    log.write(
        b"[net] Misbehaving: peer=5: headers message size = 2001",
        b"[net] received: inv (37 bytes) peer=3",
        b"[http] something 17",
    )
    log.write(b"[net] received: inv (37 bytes) peer=3")
    log.read()
    (event,) = log.rows("log_event")
    assert (event["event"], event["category"], event["peer"], event["text"]) == (
        "misbehaving",
        "net",
        5,
        "headers message size = 2001",
    )
    assert event["ts"] == 1_795_580_911 * SECOND
    (traffic,) = log.rows("log_traffic")
    assert (traffic["messages"], traffic["bytes"], traffic["inbound"]) == (2, 74, True)
    log.now += 120 * SECOND
    log.read()
    assert {(row["event"], row["template"], row["lines"]) for row in log.rows("log_count")} == {
        ("misbehaving", "Misbehaving: peer={peer}: {text}", 1),
        ("received", "received: <*> (<*> bytes) peer=<*>", 2),
        (None, "something <*>", 1),
    }


def test_every_line_once_over_restarts(log: Log) -> None:
    """A watcher that is killed between any two reads goes on at the very line; sequence numbers have no gap."""
    for number in range(20):
        log.write(b"[net] Cleared nodestate for peer=%d" % number)
        log.read()
        if number % 3 == 0:
            log.restart()
    assert [row["peer"] for row in log.rows("log_event")] == list(range(20))
    seqs = sorted(row["seq"] for table in ("log_event", "log_count", "loss") for row in log.rows(table))
    assert seqs == list(range(len(seqs)))
    log.now += 60 * SECOND
    log.read()
    assert sum(row["lines"] for row in log.rows("log_count")) == 20


def test_a_start_of_the_node_begins_a_session(log: Log) -> None:
    """Peers are numbered anew from there on; what was before has ended."""
    log.write(
        b"[net] Cleared nodestate for peer=1",
        b"Bitcoin Core version v30.0.0 (release build)",
        b"[net] Cleared nodestate for peer=1",
    )
    before, after = log.read()
    assert before.ended
    assert after.identity == Identity("alice", 1_795_580_911 * SECOND, "debuglog")
    assert [row["event"] for row in after.rows["log_event"].to_pylist()] == ["node_started", "peer_forgotten"]
    log.restart()
    log.write(b"[net] Cleared nodestate for peer=2")
    (more,) = log.read()
    assert more.identity == after.identity
    assert more.rows["log_event"]["seq"].to_pylist() == [2]


def test_rotation_truncation_and_removal(log: Log) -> None:
    """Rotation loses nothing, truncation is told, a log that is away is told when it goes and when it is back."""
    log.write(b"[net] Cleared nodestate for peer=1")
    log.path.rename(log.path.with_suffix(".old"))
    log.read()
    log.read()
    log.read()
    log.write(b"[net] Cleared nodestate for peer=2")
    log.read()
    log.read()
    assert [row["peer"] for row in log.rows("log_event")] == [1, 2]
    log.path.write_bytes(b"")
    log.read()
    log.write(b"[net] Cleared nodestate for peer=3")
    log.read()
    assert [row["peer"] for row in log.rows("log_event")] == [1, 2, 3]
    assert any("truncated" in row["reason"] for row in log.rows("loss"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_a_log_that_is_closed_to_us(log: Log) -> None:
    """It is said what to do, and reading goes on as soon as it may."""
    log.path.chmod(0)
    log.restart()
    log.read()
    assert "run the watcher as the node's user" in log.rows("loss")[-1]["reason"]


def test_a_log_that_is_not_there(tmp_path: Path) -> None:
    """It is said once, and once more when it comes."""
    log = Log(tmp_path)
    log.path.unlink()
    for _ in range(3):
        log.read()
    log.path.write_bytes(b"")
    log.read()
    assert [(row["kind"], row["probe"]) for row in log.rows("loss")] == [("blind", "debuglog"), ("gap", "debuglog")]


def test_what_the_node_itself_dropped_is_a_loss(log: Log) -> None:
    """Core limits how much one place in its code may write; how much it left out is said."""
    log.write(b"[warning] Restarting logging from net.cpp:1 (f): 5000 bytes were dropped during the last 3600s.")
    log.read()
    (row,) = log.rows("loss")
    assert (row["kind"], row["last_ts"] - row["first_ts"]) == ("dropped", 3600 * SECOND)
    assert row["bytes"] == 5000
    assert "5000 bytes" in row["reason"]


def test_while_the_node_drops_lines_the_others_are_understood(log: Log) -> None:
    """Every line has a mark then, in front of its time."""
    stamp = b"[*] " + STAMP
    with log.path.open("ab") as file:
        file.write(stamp + b"[net] Misbehaving: peer=5: x\n" + stamp + b"[net] received: inv (37 bytes) peer=3\n")
    log.read()
    (event,), (traffic,) = log.rows("log_event"), log.rows("log_traffic")
    assert (event["event"], event["ts"], traffic["messages"]) == ("misbehaving", 1_795_580_911 * SECOND, 1)


def test_lines_without_time(log: Log) -> None:
    """They have the time of reading, and that is said once."""
    with log.path.open("ab") as file:
        file.write(b"[net] Cleared nodestate for peer=1\n[net] Cleared nodestate for peer=2\n")
    log.read()
    assert {row["ts"] for row in log.rows("log_event")} == {NOW + log.now}
    assert len(log.rows("loss")) == 1


def test_a_line_that_goes_on(log: Log) -> None:
    """Lines without time in a log that has times belong to the line before them."""
    log.write(b"tor: Error parsing ADD_ONION parameters:")
    with log.path.open("ab") as file:
        file.write(b"Disconnecting and discouraging peer 5!\n")
    log.read()
    assert [row["ts"] for row in log.rows("log_event")] == [1_795_580_911 * SECOND]
    assert log.rows("loss") == []


def test_another_log_is_another_session(log: Log) -> None:
    """What was written while nobody read is gone: the node may have been started anew, and its peers be other ones."""
    log.write(b"[net] Cleared nodestate for peer=1")
    log.read()
    log.path.write_bytes(b"")
    log.write(*(b"[net] Cleared nodestate for peer=%d" % number for number in range(20)))
    log.restart()
    before, after = log.read()
    assert before.ended
    assert after.identity.session > before.identity.session
    assert [row["kind"] for row in after.rows["loss"].to_pylist()] == ["gap"]
    assert after.rows["log_event"]["peer"].to_pylist() == list(range(20))


def test_a_real_log(log: Log) -> None:
    """What a node wrote is read whole, and own addresses and paths of it are in no row."""
    log.path.write_bytes(REAL.read_bytes())
    log.read()
    log.now += 3 * 3600 * SECOND
    log.read()
    lines = sum(1 for line in REAL.read_bytes().splitlines() if len(line.partition(b"Z ")[2]) > 0)
    assert sum(row["lines"] for row in log.rows("log_count")) == lines
    assert len(log.rows("log_event")) >= 30
    assert not any("127.0.0.1" in row["template"] for row in log.rows("log_count"))


def test_an_empty_chunk_a_second(log: Log) -> None:
    """A log to which nothing is written still lets time pass."""
    (chunk,) = log.read()
    assert (len(chunk.events), chunk.watermark) == (0, NOW + log.now)
    assert list(log.source.read()) == []


def test_finish_reads_what_is_left(log: Log) -> None:
    """At the end of a run the last lines are told."""
    log.write(b"[net] Cleared nodestate for peer=1")
    chunks = []
    while more := log.source.finish():
        chunks += more
    assert [row["peer"] for chunk in chunks for row in chunk.rows["log_event"].to_pylist()] == [1]
