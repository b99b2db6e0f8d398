"""How much of what happened was seen: the completeness that every finding carries."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any

from peerwatch.schema.batch import SECOND, Rows
from peerwatch.stats.window import Window

RETENTION_S = 3600
"""Loss and events further back than this are forgotten; a finding about a longer time is judged by its last hour."""

LOSSES = 256
"""Loss rows remembered at most."""

_COUNTED = ("dropped", "unreadable", "truncated", "gap")
_UNSEEN = ("gap", "blind")
NOT_RECORDED = "archive"
"""Part named by rows about what could not be recorded: that was seen, and only the archive lacks it."""

MESSAGE_PROBES = (None, "net:inbound_message", "net:outbound_message")
"""Parts of a source without which a node's messages are not seen; None is the whole of it."""


@dataclass(frozen=True, slots=True)
class _Loss:
    first: int
    """Second in which it began."""
    stop: int
    """Second after its last."""
    count: int
    unseen: bool
    """Whether nothing was seen in that time; where lost events were counted, the others were."""


class Sight:
    """Events seen and lost, by second of event time."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._seen = Window(RETENTION_S)
        self._losses: deque[_Loss] = deque(maxlen=LOSSES)

    def update(self, second: int, events: int, losses: Rows | None) -> None:
        """Take the number of events of a second (or a part of it), and the loss rows among them."""
        self._seen.update(second, (events,))
        if losses is None:
            return
        columns = (losses[name].tolist() for name in ("kind", "probe", "first_ts", "last_ts", "count"))
        for kind, probe, first, last, count in zip(*columns, strict=True):
            lost = count if kind in _COUNTED and probe != NOT_RECORDED else 0
            unseen = kind in _UNSEEN and probe in MESSAGE_PROBES and not count
            if lost or unseen:
                self._losses.append(_Loss(first // SECOND, last // SECOND + 1, lost, unseen))

    def completeness(self, first_ts: int, last_ts: int) -> float:
        """Share of the events between two times (ns) that were seen, 0 to 1, at the resolution of a second."""
        last = last_ts // SECOND
        first = max(first_ts // SECOND, last - RETENTION_S + 1)
        lost = unseen = 0.0
        for loss in self._losses:
            overlap = min(loss.stop, last + 1) - max(loss.first, first)
            if overlap <= 0:
                continue
            lost += loss.count * overlap / (loss.stop - loss.first)
            unseen += overlap if loss.unseen else 0
        if not lost and not unseen:
            return 1.0
        (seen,) = self._seen.value(last, first)
        share = seen / (seen + lost) if lost else 1.0
        return share * max(0.0, 1 - unseen / (last + 1 - first))

    def state(self) -> dict[str, Any]:
        """Everything, as JSON-able values."""
        return {"seen": self._seen.state(), "losses": [list(astuple(loss)) for loss in self._losses]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state()`."""
        self._seen.restore(state["seen"])
        self._losses = deque((_Loss(*loss) for loss in state["losses"]), maxlen=LOSSES)
