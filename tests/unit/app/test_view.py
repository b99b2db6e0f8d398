"""The line of live figures."""

from __future__ import annotations

import io
import re

import numpy as np
import pyarrow as pa

from peerwatch.app.pipeline import Outcome, Pipeline, Settings
from peerwatch.app.view import RateLine
from peerwatch.schema.batch import SECOND
from peerwatch.schema.tables.loss import Loss
from peerwatch.sources._api import Chunk
from peerwatch.wire.raw import RawMessages
from tests.unit.sources.test_pace import ALICE, BOB, chunk

NOON = 1_760_054_400 * SECOND + 12 * 3600 * SECOND


class Clock:
    """Is set by the test."""

    now = 100.0

    def __call__(self) -> float:
        """Now, seconds."""
        return self.now


def fed(line: RateLine, *chunks: Chunk) -> None:
    """Let chunks pass through real pipelines."""
    for c in chunks:
        line.saw(c, Pipeline(c.identity.node, Settings(bytes(40), 1, {})).feed(c))


def shown(*chunks: Chunk, seconds: float = 2.0) -> str:
    clock, stream = Clock(), io.StringIO()
    line = RateLine(stream, seconds, clock)
    fed(line, *chunks)
    clock.now += seconds
    line.pulse()
    return stream.getvalue()


def test_the_figures() -> None:
    """Messages in and out a second, kilobytes, peers and the commonest types; the time is that of the events."""
    text = shown(chunk([NOON + i for i in range(30)]), seconds=5)
    assert re.fullmatch(r"12:00:00 +3 msg/s in +3 out +0 kB/s +3 peers  lost 0  \| version 6\n", text), text


def test_parts_of_a_node_that_are_not_seen() -> None:
    """Blindness of a part and its end are lines of their own, with the reason; of the whole node nothing is said here."""
    columns = {"kind": ["blind", "gap", "gap"], "probe": ["rpc", "rpc", None], "reason": ["Refused.", "Back.", "Restart."]}
    columns |= {name: [NOON] * 3 for name in ("ts", "first_ts", "last_ts")} | {
        "seq": [0, 1, 2],
        "count": [0] * 3,
        "bytes": [0] * 3,
    }
    at = np.arange(3)
    rows = {"loss": Loss.build(ALICE, columns)}
    said = Chunk(ALICE, NOON, RawMessages.none(), np.full(3, NOON), np.zeros(0, np.int64), rows, {"loss": at})
    first, second, _ = shown(said).splitlines()
    assert (first, second) == ("alice: rpc is not seen: Refused.", "alice: rpc was not seen: Back.")


def test_peers_of_different_nodes_are_different() -> None:
    """Each node counts its own."""
    assert " 6 peers" in shown(chunk([NOON] * 9), chunk([NOON] * 9, BOB))


def test_figures_start_over_and_losses_do_not() -> None:
    """A line is about the time since the last one; what was lost stays lost."""
    clock, stream = Clock(), io.StringIO()
    line = RateLine(stream, 1, clock)
    loss = Loss.build(
        ALICE,
        {
            "ts": [NOON],
            "seq": [0],
            "kind": ["dropped"],
            "first_ts": [0],
            "last_ts": [0],
            "count": [7],
            "bytes": [0],
            "reason": ["x"],
        },
    )
    fed(line, chunk([NOON] * 4))
    line.saw(chunk([], watermark=NOON), Outcome({"loss": loss}, {}))
    line.pulse()
    assert stream.getvalue() == ""
    for _ in range(2):
        clock.now += 1
        line.pulse()
    first, second = stream.getvalue().splitlines()
    assert "2 msg/s in" in first
    assert "3 peers" in first
    assert "0 msg/s in" in second
    assert "0 peers" in second
    assert ("lost 7" in first, "lost 7" in second) == (True, True)
    assert second.endswith("| ")


def test_the_time_is_not_known_at_first() -> None:
    """Before the first event there is a line without one."""
    assert shown().startswith("--:--:--  ")


def test_replayed_rows_count_too() -> None:
    """An archive has no raw messages; its rows tell as much."""
    pipeline = Pipeline("alice", Settings(bytes(40), 1, {}))
    live = chunk([NOON, NOON + 1])
    outcome = pipeline.feed(live)
    none = np.zeros(0, np.int64)
    again = Chunk(ALICE, NOON, RawMessages.none(), live.events, none, outcome.rows)
    clock, stream = Clock(), io.StringIO()
    line = RateLine(stream, 1, clock)
    line.saw(again, Outcome(outcome.rows, {}))
    clock.now += 1
    line.pulse()
    assert " 2 peers" in stream.getvalue()
    assert isinstance(outcome.rows["rate"], pa.RecordBatch)


class Closed(io.StringIO):
    """A pipe that nobody reads any more."""

    def write(self, _text: str) -> int:
        """As the system does it."""
        raise BrokenPipeError


def test_nobody_reads() -> None:
    """When the stream breaks or is closed the line falls silent, and the run goes on."""
    closed = io.StringIO()
    closed.close()
    for stream in (Closed(), closed):
        clock = Clock()
        line = RateLine(stream, 1, clock)
        for _ in range(2):
            clock.now += 1
            line.pulse()
            fed(line, chunk([NOON]))
