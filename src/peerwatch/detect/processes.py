"""When the process of a node is another one than before: then its peer ids start over."""

from __future__ import annotations

from typing import Any, NamedTuple

from peerwatch.schema.batch import SECOND, Rows

READS = ("event", "pid", "started")
"""Columns of the node table that this needs."""

SAME_NS = SECOND
"""Times of start this close are one: each look at a process works out UTC anew, off by what the clock was corrected since."""


class Change(NamedTuple):
    """What rows of the node table say about its process."""

    ended: bool
    """It ended."""
    began: bool
    """Another one began, or is there instead, after a time in which nobody looked."""


class Processes:
    """The process of one node, told by its id and its time of start."""

    def __init__(self) -> None:
        """Start knowing none."""
        self._pid = self._started = 0

    def update(self, nodes: Rows) -> Change:
        """Take rows of the node table. Peer ids start over when it `began`, and nobody is connected any more when it `ended`."""
        ended = began = False
        for event, pid, started in zip(nodes["event"].tolist(), nodes["pid"].tolist(), nodes["started"].tolist(), strict=True):
            ended |= event == "exited"
            began |= event == "started" or self._other(pid, started)
            self._pid, self._started = pid or self._pid, started or self._started
        return Change(ended, began)

    def _other(self, pid: int, started: int) -> bool:
        """Whether this is not the process known so far; 0 is not known."""
        by_id = bool(pid and self._pid and pid != self._pid)
        return by_id or bool(started and self._started and abs(started - self._started) > SAME_NS)

    def state(self) -> list[int]:
        """Everything, as JSON-able values."""
        return [self._pid, self._started]

    def restore(self, state: Any) -> None:
        """Go on from `state()`."""
        self._pid, self._started = (int(value) for value in state)
