"""The clock of event time."""

from __future__ import annotations

import numpy as np

from peerwatch.peers.clock import WRONG_NS, Clock
from peerwatch.schema.batch import SECOND

NONE = np.zeros(0, np.int64)


def test_does_not_go_back() -> None:
    """It is the latest time so far, over batches."""
    clock = Clock()
    assert clock.run(np.array([5, 9, 7, 11]), NONE)[0].tolist() == [5, 9, 9, 11]
    now, cuts = clock.run(np.array([8, 12]), NONE)
    assert now.tolist() == [11, 12]
    assert cuts == []


def test_is_set_back_by_a_clock_row() -> None:
    """From more than two seconds before; less is waited for."""
    for back, expected in ((3, [10, 7, 8]), (2, [10, 10, 10])):
        events = np.array([10, 10 - back, 8]) * SECOND
        now, cuts = Clock().run(events, np.array([1]))
        assert (now // SECOND).tolist() == expected
        assert cuts == ([1] if back == 3 else [])


def test_recovers_from_a_wrong_time() -> None:
    """One event from far in the future does not stop it for long; in any batches."""
    events = np.array([10 * SECOND, 10 * SECOND + 3 * WRONG_NS, 11 * SECOND, 12 * SECOND])
    now, cuts = Clock().run(events, NONE)
    assert now[2:].tolist() == events[2:].tolist()
    assert cuts == [2]
    clock = Clock()
    parts = [clock.run(events[i : i + 1], NONE) for i in range(4)]
    assert np.concatenate([p[0] for p in parts]).tolist() == now.tolist()
    assert [p[1] for p in parts] == [[], [], [0], []]
