"""When a node was started, by what `uptime` says, and so whether it is still the same.

`uptime` has whole seconds, and the answer may be late. Before Bitcoin Core 31 it follows the node's wall clock, so setting that
moves it; from 31 on it follows the monotonic clock. Hence the start is kept on both of our clocks, as the span of time in which
it must have been, and only a start that is later on both is another one.
"""

from __future__ import annotations

from typing import NamedTuple

from peerwatch.schema.batch import SECOND


class Moment(NamedTuple):
    """One time on our two clocks, ns."""

    monotonic: int
    utc: int


class NodeStart:
    """The start of one node's process. See the module."""

    def __init__(self) -> None:
        """Nothing is known."""
        self._latest: Moment | None = None
        """When it was started at the latest."""

    def update(self, uptime_s: int, asked: Moment, answered: Moment) -> bool:
        """Take an answer. Returns whether the node was started again since the one before."""
        before = self._latest
        earliest = (at - (uptime_s + 1) * SECOND for at in asked)
        self._latest = Moment(*(at - (uptime_s - 1) * SECOND for at in answered))
        return before is not None and all(now > then for now, then in zip(earliest, before, strict=True))


def started_utc(uptime_s: int, answered: Moment) -> int:
    """When the node was started, ns UTC, to a second."""
    return answered.utc - uptime_s * SECOND
