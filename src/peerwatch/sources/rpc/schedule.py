"""When a node is asked what: one call at a time, no method more often than wanted, and none for more than its share of the time.

A call takes time of the node mostly by the locks that it waits for and holds, so the time that answers take is what is bounded. A
single answer that is late because the node was connecting a block must not blind us, so of the last two the faster counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from peerwatch.schema.batch import SECOND
from peerwatch.sources.rpc._api import Request

SHARE = 50
"""A method is called again after this many times as long as it takes: 2 % of the time is its share."""
LONGEST_PAUSE_NS = 300 * SECOND
"""A method that fails is left alone for up to this long, or for its interval if that is longer."""
SHORTEST_PAUSE_NS = 10 * SECOND
GAP_NS = SECOND // 20
"""Between any two calls, at least; or as long as the first of them took, so that heavy ones do not follow each other …"""
LONGEST_GAP_NS = 5 * SECOND
"""… up to this."""
STAGGER_NS = SECOND // 4
"""Between the first calls of two methods."""


@dataclass(slots=True)
class _Plan:
    request: Request
    every: int
    due: int
    took: list[int] = field(default_factory=list)
    """ns that the last two answers took."""
    failed: int = 0
    """How often in a row it has failed."""


class Schedule:
    """Times are of a monotonic clock, in ns. See the module."""

    def __init__(self, requests: Iterable[Request], every: Mapping[str, float], now: int) -> None:
        """Plan the requests, in this order at first; those of one method are one, as often as the one that wants it most.

        Args:
            requests: what is wanted.
            every: seconds from one call to the next by method, in place of what is wanted; 0 for never.
            now: the time.

        Raises:
            TypeError: requests of one method that differ in more than how often.
        """
        wanted: dict[str, Request] = {}
        for request in requests:
            other = wanted.setdefault(request.method, request)
            if (request.params, request.since) != (other.params, other.since):
                raise TypeError(f"{request.method} is wanted in two ways")
            if request.every_s < other.every_s:
                wanted[request.method] = request
        self._plans: dict[str, _Plan] = {}
        for method, request in wanted.items():
            if (seconds := every.get(method, request.every_s)) > 0:
                self._plans[method] = _Plan(request, int(seconds * SECOND), now + len(self._plans) * STAGGER_NS)
        self._free = now

    def __contains__(self, method: str) -> bool:
        """Whether a method is called at all."""
        return method in self._plans

    def due(self, now: int) -> Request | None:
        """What to ask now: of what is due, what has waited longest."""
        if now < self._free:
            return None
        first = min(self._plans.values(), key=lambda plan: plan.due, default=None)
        return first.request if first and first.due <= now else None

    def request(self, method: str) -> Request | None:
        """What a method is called with; None if it is not called."""
        plan = self._plans.get(method)
        return plan.request if plan else None

    def wait_s(self, now: int) -> float:
        """Seconds until something is due; an hour if nothing ever is."""
        first = min((plan.due for plan in self._plans.values()), default=now + 3600 * SECOND)
        return (max(first, self._free, now) - now) / SECOND

    def answered(self, method: str, took: int, now: int) -> None:
        """A call was answered after `took` ns."""
        self._go_on(took, now)
        if (plan := self._plans.get(method)) is not None:
            plan.failed = 0
            plan.took = [*plan.took[-1:], took]
            plan.due = now + max(plan.every, SHARE * min(plan.took))

    def failed(self, method: str, took: int, now: int) -> None:
        """A call gave nothing after `took` ns: each time in a row it is left alone for twice as long."""
        self._go_on(took, now)
        if (plan := self._plans.get(method)) is not None:
            plan.failed = min(plan.failed + 1, 16)
            pause = max(plan.every, SHORTEST_PAUSE_NS) << plan.failed
            plan.due = now + max(plan.every, min(pause, LONGEST_PAUSE_NS))

    def drop(self, method: str) -> None:
        """Do not call a method again."""
        self._plans.pop(method, None)

    def hurry(self, method: str, now: int) -> None:
        """Call a method before all others, if it is called at all."""
        if (plan := self._plans.get(method)) is not None:
            plan.due = min([now, *(each.due - 1 for each in self._plans.values())])

    def resume(self, now: int) -> None:
        """The node was away: what became due meanwhile is asked bit by bit."""
        late = sorted((plan for plan in self._plans.values() if plan.due < now), key=lambda plan: plan.due)
        for place, plan in enumerate(late):
            plan.due = now + place * STAGGER_NS

    def _go_on(self, took: int, now: int) -> None:
        self._free = now + min(max(GAP_NS, took), LONGEST_GAP_NS)
