"""Whether a node's process is another one than before."""

from __future__ import annotations

import json

import pytest

from peerwatch.detect.processes import SAME_NS, Change, Processes
from peerwatch.schema.batch import Rows
from tests.builders import Stream, at

FOUND = (0, "found", at(-100), 7)
SAME, BEGAN, ENDED = Change(ended=False, began=False), Change(ended=False, began=True), Change(ended=True, began=False)


def changes(*rows: tuple[float, str, int | None, int | None]) -> list[Change]:
    """What each row (time, event, started, pid) changes, with the state through JSON after each."""
    told, state = [], Processes().state()
    for seconds, event, started, pid in rows:
        stream, processes = Stream(), Processes()
        stream.node(at(seconds), event, started=started, pid=pid)
        processes.restore(json.loads(json.dumps(state)))
        told.append(processes.update(Rows(stream.tables()["node"])))
        state = processes.state()
    return told


@pytest.mark.parametrize(
    ("row", "change"),
    [
        ((9, "found", at(-100), 7), SAME),
        ((9, "found", at(-100) + SAME_NS, 7), SAME),
        ((9, "found", at(-100) - SAME_NS, 7), SAME),
        ((9, "found", None, None), SAME),
        ((9, "found", at(-100) + SAME_NS + 1, 7), BEGAN),
        ((9, "found", at(-100) - SAME_NS - 1, 7), BEGAN),
        ((9, "found", at(-100), 8), BEGAN),
        ((9, "found", None, 8), BEGAN),
        ((9, "started", at(-100), 7), BEGAN),
        ((9, "started", None, None), BEGAN),
        ((9, "exited", None, 7), ENDED),
    ],
)
def test_another_process(row, change):
    """Told by its beginning, its id or its time of start; what an event does not say tells nothing, and clocks are corrected."""
    assert changes(FOUND, row) == [SAME, change]


def test_what_is_not_said_is_not_forgotten():
    """An event without id and time in between hides no restart."""
    assert changes(FOUND, (1, "seen", None, None), (9, "found", at(5), 7))[-1] == BEGAN
    assert changes(FOUND, (1, "seen", None, None), (9, "found", at(-100), 8))[-1] == BEGAN


def test_several_rows_at_once():
    """An end and a beginning in one call are both told, and the last one is remembered."""
    stream, processes = Stream(), Processes()
    for row in (("found", -100, 7), ("exited", None, 7), ("started", 1, 9)):
        stream.node(at(1), row[0], started=None if row[1] is None else at(row[1]), pid=row[2])
    assert processes.update(Rows(stream.tables()["node"])) == Change(ended=True, began=True)
    assert processes.state() == [9, at(1)]
