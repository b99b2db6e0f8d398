"""The debuglog source: what a node writes into `debug.log`, followed while it grows.

Each chunk has what its lines say, and its position is behind them, so that after a crash every line is told once. What goes
beyond single lines, such as counts by the minute, is in the position as far as it is not told yet.

It begins at the end of a log that it does not know: what was written before is history, and may be gigabytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from peerwatch.schema.batch import SECOND
from peerwatch.schema.table import Table
from peerwatch.schema.tables.log_count import LogCount
from peerwatch.schema.tables.log_event import LogEvent
from peerwatch.schema.tables.log_traffic import LogTraffic
from peerwatch.schema.tables.loss import Loss
from peerwatch.sources._api import Chunk
from peerwatch.sources.debuglog.counts import MINUTE_NS, TEMPLATES, TRAFFIC, Counts, Traffic
from peerwatch.sources.debuglog.follow import Follower, Piece
from peerwatch.sources.debuglog.learn import Learner
from peerwatch.sources.debuglog.line import category_of, parse, time_of
from peerwatch.sources.debuglog.registry import matcher
from peerwatch.sources.debuglog.template import Found
from peerwatch.sources.gathered import Gathered

NAME = "debuglog"
READ_BYTES = 4 << 20
"""Most that is read at once, about 40,000 lines, so that other sources have their turn."""
EVERY_NS = SECOND
"""How often a log is read when it does not grow fast."""

NODE_STARTED, LOG_RESUMED = "node_started", "log_resumed"
START_MARKS = (b"Bitcoin Core version ", b"Bitcoin Knots version ")
"""How the first line of a run of the node begins (init.cpp: LogPackageVersion)."""
ADVICE = "run the watcher as the node's user, or make the log readable for a group that both are in"


class DebugLogSource:
    """One node's log. See the module; `sources._api.Source` says what the methods promise."""

    name = NAME
    live = True
    tables: Sequence[type[Table]] = (LogEvent, LogCount, LogTraffic, Loss)

    def __init__(
        self,
        path: Path,
        node: str,
        *,
        position: Mapping[str, Any] | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
        utc: Callable[[], int] = time.time_ns,
    ) -> None:
        """Follow the log at `path`, which need not be there yet.

        Args:
            path: `debug.log`.
            node: name of the node.
            position: that of the last chunk that was recorded, to go on there.
            clock: monotonic, ns.
            utc: wall clock, ns.
        """
        before = dict(position or {})
        self._clock, self._utc = clock, utc
        self._rows = Gathered(node, NAME, int(before.get("session", utc())), int(before.get("seq", 0)))
        self._file = Follower(path, before.get("file"))
        self._counts = Counts(before.get("counts"))
        self._traffic = Traffic()
        self._learner = Learner()
        self._events: dict[str, list[Any]] = {}
        self._match = matcher().match
        self._mark = 0
        self._next = 0
        self._last: int | None = None
        """Time of the last line that had one."""
        self._untimed = False

    def read(self) -> Sequence[Chunk]:
        """What has been written; an empty chunk when that is nothing for a second."""
        now = self._clock()
        if now < self._next:
            return []
        piece = self._piece()
        self._take(piece)
        if sum(map(len, piece.lines)) < READ_BYTES // 2:
            self._next = now + EVERY_NS
        return self._chunks()

    def finish(self) -> Sequence[Chunk]:
        """What is in the file now, a part at a time."""
        piece = self._piece()
        if not piece.lines and not self._rows.waiting:
            return []
        self._take(piece)
        return self._chunks()

    def commit(self) -> None:
        """The file keeps everything; a position is all that is needed to go on."""

    def close(self) -> None:
        """Close it."""
        self._file.close()

    def _piece(self) -> Piece:
        ts = self._utc()
        try:
            piece = self._file.read(READ_BYTES)
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            why = "is not there" if missing else f"cannot be read ({str(error.strerror).lower()}): {ADVICE}"
            self._rows.unseen(NAME, f"The node's log {why}.", ts)
            return Piece()
        if piece.lost_track:  # the node may have been started anew, and then its peers are other ones
            self._rows.restart(ts)
        self._rows.seen(NAME, ts)
        if piece.notice:
            self._rows.loss("gap", NAME, piece.notice, (ts, ts))
        if piece.overlong:
            self._rows.loss("truncated", NAME, "Lines that were too long are cut.", (ts, ts), piece.overlong)
        return piece

    def _chunks(self) -> list[Chunk]:
        self._tell()
        now = self._utc()
        if over := self._counts.turn(now):
            self._rows.add_rows(over)
        self._mark = max(self._mark, now)
        position = {
            "session": self._rows.identity.session,
            "seq": self._rows.seq,
            "file": self._file.position,
            "counts": self._counts.state(),
        }
        return self._rows.take(self._mark, position)

    def _take(self, piece: Piece) -> None:
        """Read whole lines. Those of messages are most: they are counted by the minute, and only the sums are handed on."""
        now = self._utc()
        minute, bulk = 0, dict[tuple[bool, str], list[int]]()
        add, traffic_of = self._traffic.add, TRAFFIC.match
        for raw in piece.lines:
            traffic = traffic_of(raw)
            if traffic is not None:
                ts, (category, _) = time_of(traffic[1], traffic[2]), category_of(traffic[3])
            else:
                ts, category, message = parse(raw)
                if not message:
                    continue
            if ts is None:
                ts = self._time(now, message if traffic is None else b"")
            else:
                self._last = ts
            if ts // MINUTE_NS != minute:
                self._count_bulk(minute, bulk)
                minute = ts // MINUTE_NS
            if traffic is not None:
                total = bulk.setdefault((add(ts, traffic), category), [0, 0])
                total[0] += 1
                total[1] += len(raw)
            elif (found := self._match(message)) is not None:
                self._add(ts, category, found)
                self._count(ts, (found.template.event, category, found.template.text), len(raw))
            else:
                self._count(ts, (None, category, self._learner.template_of(message)), len(raw))
        self._count_bulk(minute, bulk)

    def _time(self, now: int, message: bytes) -> int:
        """Time of a line that has none: that of the line which it goes on with, unless the node writes none at all."""
        if message.startswith(START_MARKS):
            self._last = None
        if self._last is not None:
            return self._last
        if not self._untimed:
            self._untimed = True
            why = "Lines of the log have no time (-logtimestamps=0): that of reading is taken."
            self._rows.loss("unreadable", NAME, why, (now, now))
        return now

    def _count(self, ts: int, template: tuple[str | None, str, str], size: int, lines: int = 1) -> None:
        if over := self._counts.add(ts, template, size, lines):
            self._rows.add_rows(over)

    def _count_bulk(self, minute: int, bulk: dict[tuple[bool, str], list[int]]) -> None:
        """Count lines of messages of a minute, and forget them."""
        for (inbound, category), (lines, size) in bulk.items():
            event, text = TEMPLATES[inbound]
            self._count(minute * MINUTE_NS, (event, category, text), size, lines)
        bulk.clear()

    def _add(self, ts: int, category: str, found: Found) -> None:
        event = found.template.event
        if event == NODE_STARTED:
            self._tell()
            self._rows.restart(ts)
        elif event == LOG_RESUMED:
            dropped, first = found.value or 0, ts - (found.value2 or 0) * SECOND
            why = f"The node dropped {dropped} bytes of its log, because they were too many."
            row = {"kind": "dropped", "probe": NAME, "first_ts": first, "last_ts": ts, "count": 0, "bytes": dropped}
            self._rows.add(Loss, ts, reason=why, **row)
        values = (ts, event, category, found.peer, found.address, found.hash, found.value, found.value2, found.text)
        for name, value in zip(_COLUMNS, values, strict=True):
            self._events.setdefault(name, []).append(value)

    def _tell(self) -> None:
        """Hand over what was gathered line by line."""
        events, self._events = self._events, {}
        if events:
            self._rows.add_rows((LogEvent, events))
        self._rows.add_rows(self._traffic.rows())


_COLUMNS = ("ts", "event", "category", "peer", "address", "hash", "value", "value2", "text")
