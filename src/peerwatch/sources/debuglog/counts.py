"""Sums over lines of the log: messages by peer and type, and lines by template."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from peerwatch.schema.batch import SECOND
from peerwatch.schema.tables.log_count import LogCount
from peerwatch.schema.tables.log_traffic import LogTraffic
from peerwatch.sources.debuglog.line import PREFIX
from peerwatch.sources.gathered import Rows
from peerwatch.wire.raw import printable

TRAFFIC = re.compile(
    PREFIX + rb"(received: |sending )(.{0,64}?) \((\d{1,9}) bytes\) peer=(-?\d{1,18})(?:,? peeraddr=\S+)?$", re.DOTALL
)
"""Whole lines of what is received and sent (net.cpp: ProcessMessages, PushMessage; category net): what PREFIX has, verb, type,
payload bytes, peer. Types can have spaces and parentheses.
"""
TEMPLATES = {
    True: ("received", "received: <*> (<*> bytes) peer=<*>"),
    False: ("sent", "sending <*> (<*> bytes) peer=<*>"),
}
RECEIVED = b"received: "
TYPE_BYTES = 12
WINDOW_NS = 10 * SECOND
MINUTE_NS = 60 * SECOND
MOST_PAIRS = 10_000
"""Peers times directions times types of a chunk that are told apart; further types are `other`."""
MOST_COUNTED = 700


class Traffic:
    """Messages of one chunk."""

    def __init__(self) -> None:
        """None yet."""
        self._sums: dict[tuple[int, bytes, bytes, bytes], list[int]] = {}

    def add(self, ts: int, found: re.Match[bytes]) -> bool:
        """Count a line. Returns whether the message was received."""
        *_, verb, kind, size, peer = found.groups()
        key = (ts // WINDOW_NS, verb, kind, peer)
        total = self._sums.get(key)
        if total is None:
            if len(self._sums) >= MOST_PAIRS:
                key = (key[0], verb, b"other", peer)
            total = self._sums.setdefault(key, [0, 0])
        total[0] += 1
        total[1] += int(size)
        return verb == RECEIVED

    def rows(self) -> Rows:
        """What was counted, and begin anew."""
        sums, self._sums = self._sums, {}
        keys = list(sums)
        columns: dict[str, list[Any]] = {
            "ts": [window * WINDOW_NS for window, *_ in keys],
            "peer": [int(peer) for *_, peer in keys],
            "inbound": [verb == RECEIVED for _, verb, *_ in keys],
            "type": [printable(kind[:TYPE_BYTES]) for _, _, kind, _ in keys],
            "messages": [total[0] for total in sums.values()],
            "bytes": [total[1] for total in sums.values()],
        }
        return LogTraffic, columns


class Counts:
    """Lines of the present minute by template; what is not told yet goes along in the position of the source."""

    def __init__(self, state: Sequence[Any] | None = None) -> None:
        """Go on from a state."""
        minute, rows = state or (0, [])
        self._minute = int(minute)
        self._sums = {(event, category, template): [lines, size] for event, category, template, lines, size in rows}

    def add(self, ts: int, template: tuple[str | None, str, str], size: int, lines: int = 1) -> Rows | None:
        """Count lines of a template (event, category, text), `size` bytes without ends. Returns a minute that is over by it."""
        over = self.turn(ts)
        if template not in self._sums and len(self._sums) >= MOST_COUNTED:
            template = (None, "none", "other")
        total = self._sums.setdefault(template, [0, 0])
        total[0] += lines
        total[1] += size + lines
        return over

    def turn(self, ts: int) -> Rows | None:
        """It is `ts` (ns UTC). Returns the rows of the minute before, if that is over."""
        minute = ts // MINUTE_NS
        if minute <= self._minute:
            return None
        before, self._minute = self._minute, minute
        sums, self._sums = self._sums, {}
        if not sums:
            return None
        columns = {
            "ts": [before * MINUTE_NS] * len(sums),
            "event": [event for event, _, _ in sums],
            "category": [category for _, category, _ in sums],
            "template": [template for _, _, template in sums],
            "lines": [total[0] for total in sums.values()],
            "bytes": [total[1] for total in sums.values()],
        }
        return LogCount, columns

    def state(self) -> list[Any]:
        """What is not told yet, JSON-able."""
        return [self._minute, [[*key, *total] for key, total in self._sums.items()]]
