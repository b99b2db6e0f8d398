"""The monitor itself does not see enough: events lost, parts not traced, the node gone, or a silence that cannot be chance.

A detector that saw nothing says nothing, and that must not pass for quiet (A60): peer-observer once dropped most removals from
the mempool without anything reporting it. Four things are watched: the share of events lost in five minutes, from `loss` rows;
what is not traced at all, until it is seen again; a node that ended and does not come back; and silence, no message from any
peer although peers are connected, for longer than ever happens by chance at the pace before.

A restart with a quick return is recorded and no more. Messages that were cut on purpose are not lost. It misses what a source
loses without knowing, as far as it does not look like silence. Expected false alarms: of silence, one in 10^9 pauses
as far as seconds with messages are independent; a quiet node (messages in less than one second of twenty) is never called silent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from math import log, log1p
from typing import Any, ClassVar

import numpy as np

from peerwatch.detect._api import Detector, Finding, Kind, Option, RowKey, Severity, SubjectKind
from peerwatch.detect.processes import READS, Processes
from peerwatch.detect.queries import rows_of_time
from peerwatch.detect.sight import MESSAGE_PROBES, NOT_RECORDED
from peerwatch.detect.visible import visible
from peerwatch.schema.batch import SECOND, Rows
from peerwatch.schema.table import Table
from peerwatch.schema.tables.block import Block
from peerwatch.schema.tables.connection import Connection
from peerwatch.schema.tables.loss import Loss
from peerwatch.schema.tables.mempool import Mempool
from peerwatch.schema.tables.message import Message
from peerwatch.schema.tables.node import Node
from peerwatch.stats.window import Window

LOSS_WINDOW_S = 300
PACE_WINDOW_S = 600
"""Event loss is taken over the last five minutes (catalogue A60), the pace of messages over the last ten."""

PACE_LEAST = 0.05
"""Share of seconds with messages below which a node is too quiet for its silence to mean anything."""

REPEAT_S = 10
"""What lasts is found again every so many seconds."""

OPEN_PEERS = 65_536
"""Connections counted at most."""

FAR_S = 60
"""A clock set by so many seconds is a notice: times in the archive overlap or have a hole, and detectors may start afresh."""

LONGEST_REASON = 160
"""Characters of a reason kept."""

LOSSES = 64
"""Loss rows of one second that are judged by themselves, at most."""

_LOST = ("dropped", "unreadable", "gap")
_OPENING, _CLOSING = ("opened", "described"), ("closed", "evicted")
_SINGLE = ("blind", "gap", "clock", "disagreement")
_SAME_THING = {"loss_severe": "loss", "clock_jump": "clock"}
"""Kinds that make one incident with a milder one."""


@dataclass(slots=True)
class _Now:
    """What the present second has brought so far."""

    events: int = 0
    lost: int = 0
    unrecorded: int = 0
    unrecorded_times: list[int] = field(default_factory=list)
    messages: int = 0
    restarted: bool = False
    peers: dict[int, bool] = field(default_factory=dict)
    losses: list[list[Any]] = field(default_factory=list)


class Blindness(Detector):
    """What the monitor did not see, and whether that is too much."""

    title: ClassVar[str] = "Blindness of the monitor"
    catalogue: ClassVar[tuple[str, ...]] = ("A60",)
    references: ClassVar[tuple[str, ...]] = (
        "https://github.com/peer-observer/peer-observer/pull/491 (ring buffers sized wrongly, events dropped unnoticed)",
        "Bitcoin Core, doc/tracing.md (inbound_message fires when a message is processed: back-pressure looks like silence)",
    )
    reads: ClassVar[Mapping[type[Table], tuple[str, ...]]] = {
        Loss: ("session", "source", "ts", "seq", "kind", "probe", "first_ts", "last_ts", "count", "reason"),
        Message: ("inbound",),
        Connection: ("peer", "event"),
        Mempool: ("ts",),
        Block: ("ts",),
        Node: ("ts", *READS),
    }
    kinds: ClassVar[tuple[Kind, ...]] = (
        Kind(
            "loss",
            Severity.NOTICE,
            "Some of the node's events were lost.",
            "percent of events",
            "Look at table `loss` for where and why. A busy machine needs a larger ring or fewer captured bytes.",
            normal="Nothing is lost at 100 thousand messages a second.",
        ),
        Kind(
            "loss_severe",
            Severity.PAGE,
            "Many of the node's events were lost; detection cannot be relied on.",
            "percent of events",
            "Look at table `loss` for where and why. A busy machine needs a larger ring or fewer captured bytes.",
            normal="Nothing is lost at 100 thousand messages a second.",
        ),
        Kind(
            "blind",
            Severity.NOTICE,
            "The node's messages are not seen.",
            "seconds",
            "Run `peerwatch doctor`: it says whether the node runs, which probes its binary has, and what is missing to attach.",
            normal="A node that runs is traced, and one that is restarted comes back within a minute.",
        ),
        Kind(
            "blind_part",
            Severity.RECORD,
            "A part of what a node can tell is not seen.",
            "parts",
            "Run `peerwatch doctor`: older binaries have fewer probes, and detectors that need them do not run.",
            normal="Bitcoin Core v30 has 16 probes that are used.",
        ),
        Kind(
            "gap",
            Severity.RECORD,
            "The node was not seen for a short time.",
            "seconds",
            "Nothing: the node was restarted and is traced again.",
            normal="A restart takes seconds.",
        ),
        Kind(
            "silence",
            Severity.NOTICE,
            "No peer sends anything although peers are connected.",
            "seconds",
            "Look whether the node hangs (CPU, debug.log), whether its network is down, and whether it is still traced.",
            normal="The longest pause that chance makes at the pace of the last ten minutes, at a probability of 10^-9.",
            absence=True,
        ),
        Kind(
            "clock",
            Severity.RECORD,
            "The clock was set.",
            "seconds",
            "Look at the machine's time synchronization; times of rows around it are off by that much.",
            normal="Clocks are slewed, not set.",
        ),
        Kind(
            "clock_jump",
            Severity.NOTICE,
            "The clock was set by a minute or more.",
            "seconds",
            "Look at the machine's time synchronization. Times of rows before and after overlap or have a hole; when it was set"
            " back, detectors start afresh.",
            normal="Clocks are slewed, not set.",
        ),
        Kind(
            "unrecorded",
            Severity.NOTICE,
            "Rows could not be recorded; detection goes on, but the archive lacks them.",
            "rows",
            "Look at table `loss` for why, and at the room on the archive's disk.",
            normal="Everything is recorded.",
        ),
        Kind(
            "disagreement",
            Severity.NOTICE,
            "Two sources disagree on what happened.",
            "events",
            "One of them sees less than it says. Look at table `loss` for which, and run `peerwatch doctor`.",
            normal="Sources agree to 1 % over five minutes (catalogue A60; heuristic).",
        ),
    )
    options: ClassVar[Mapping[str, Option]] = {
        "loss_notice": Option(
            0.01, "share", "Events lost in 5 minutes from which on it is a notice.", "Catalogue A60; heuristic."
        ),
        "loss_page": Option(0.1, "share", "Events lost in 5 minutes from which on it pages.", "Heuristic."),
        "loss_least": Option(50, "events", "Events lost in 5 minutes, at least.", "Of few events a share means nothing."),
        "away_s": Option(60, "s", "Time a node may be away or not traced.", "A restart takes seconds; heuristic."),
        "silence_s": Option(30, "s", "Shortest silence that is reported.", "Core pings each peer every 2 minutes."),
        "silence_p": Option(1e-9, "probability", "Of a pause that long by chance.", "One pause a second for 30 years."),
    }

    def __init__(self, options: Mapping[str, float] | None = None) -> None:
        """Start with nothing known."""
        super().__init__(options)
        self._events = Window(LOSS_WINDOW_S, 2)
        self._pace = Window(PACE_WINDOW_S)
        self._open: set[int] = set()
        self._first: int | None = None
        self._last_message: int | None = None
        self._away_since: int | None = None
        self._blind_since: int | None = None
        self._blind_why = ""
        self._process = Processes()
        self._last_loss: list[Any] = []
        self._now = _Now()
        self._touched = False
        """Whether the present second has brought anything."""
        self._active: int | None = None
        """Seconds with messages in the ten minutes up to the last of them, once that was asked for."""

    def update(self, rows: Mapping[str, Rows]) -> Iterable[Finding]:
        """Count events and what was lost of them."""
        now = self._now
        self._touched = True
        now.events += sum(len(rows[t]) for t in ("message", "connection", "mempool", "block") if t in rows)
        if (messages := rows.get("message")) is not None:
            now.messages += int(np.count_nonzero(messages["inbound"]))
        if (connections := rows.get("connection")) is not None:
            for peer, event in zip(connections["peer"].tolist(), connections["event"].tolist(), strict=True):
                if event in _OPENING or event in _CLOSING:
                    now.peers[peer] = event in _OPENING
        if (losses := rows.get("loss")) is not None:
            self._loss(losses)
        if (nodes := rows.get("node")) is not None:
            for ts, event in zip(nodes["ts"].tolist(), nodes["event"].tolist(), strict=True):
                self._away_since = ts // SECOND if event == "exited" else None
            now.restarted |= any(self._process.update(nodes))
        return ()

    def tick(self, second: int) -> Iterable[Finding]:
        """Judge what was not seen up to this second."""
        self._first = second if self._first is None else self._first
        repeats = second % REPEAT_S == 0
        lost, findings = self._take(second) if self._touched else (0, [])
        if lost or repeats:
            findings += self._share(second)
        if repeats:
            findings += [*self._unseen(second), *self._silence(second)]
        return findings

    def snapshot(self) -> dict[str, Any]:
        """All state, as JSON-able values."""
        return {
            "events": self._events.state(),
            "pace": self._pace.state(),
            "open": sorted(self._open),
            "times": [self._first, self._last_message, self._away_since, self._blind_since],
            "blind_why": self._blind_why,
            "process": self._process.state(),
            "last_loss": self._last_loss,
            "now": asdict(self._now) | {"peers": list(self._now.peers.items())},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a snapshot."""
        self._events.restore(state["events"])
        self._pace.restore(state["pace"])
        self._open = set(state["open"])
        self._first, self._last_message, self._away_since, self._blind_since = state["times"]
        self._blind_why = str(state["blind_why"])
        self._process.restore(state["process"])
        self._last_loss = list(state["last_loss"])
        self._touched, self._active = True, None
        self._now = _Now(**state["now"] | {"peers": dict(state["now"]["peers"])})

    def clock_set_back(self, by_s: int, fresh: Mapping[str, Any]) -> None:
        """Counts start afresh; who is connected, and what is not seen since when, stays as it was."""
        peers, why, process, since = self._open, self._blind_why, self._process.state(), (self._away_since, self._blind_since)
        self.restore(fresh)
        self._open, self._blind_why = peers, why
        self._process.restore(process)
        self._away_since, self._blind_since = (None if second is None else second - by_s for second in since)

    def _take(self, second: int) -> tuple[int, list[Finding]]:
        """Count what this second brought. Returns how many events were lost, and what its rows say by themselves."""
        now, self._now, self._touched = self._now, _Now(), False
        self._events.update(second, (now.events, now.lost))
        self._connections(now)
        if now.messages:
            self._last_message = second
            self._pace.update(second, (1,))
            self._active = None
            self._blind_since = None
            if self._away_since is not None and self._away_since < second:
                self._away_since = None
        findings = [f for loss in now.losses for f in self._single(loss)]
        if now.unrecorded:
            times = (min(now.unrecorded_times), max(now.unrecorded_times))
            findings.append(self._finding("unrecorded", times, float(now.unrecorded), (0.0, 0.0), []))
        return now.lost, findings

    def _connections(self, now: _Now) -> None:
        """Who is connected after this second."""
        if now.restarted:
            self._open.clear()
        for peer, is_open in now.peers.items():
            if not is_open:
                self._open.discard(peer)
            elif len(self._open) < OPEN_PEERS:
                self._open.add(peer)

    def _loss(self, rows: Rows) -> None:
        names = ("kind", "probe", "first_ts", "last_ts", "count", "reason", "session", "source", "seq")
        for kind, probe, first, last, count, reason, *key in zip(*(rows[n].tolist() for n in names), strict=True):
            if probe == NOT_RECORDED:
                self._now.unrecorded += count
                self._now.unrecorded_times += [first, last]
            elif kind in _LOST and count:
                self._now.lost += count
                self._last_loss = ["loss", *key]
            if kind in _SINGLE and len(self._now.losses) < LOSSES:
                why = visible(reason[:LONGEST_REASON], LONGEST_REASON)
                self._now.losses.append([kind, probe, min(first, last), max(first, last), count, why, ["loss", *key]])

    def _single(self, row: list[Any]) -> Iterator[Finding]:
        """What one loss row says by itself."""
        kind, probe, first, last, count, why, key = row
        seconds, times = (last - first) / SECOND, (first, last)
        away = self.settings["away_s"]
        if kind == "blind" and probe in MESSAGE_PROBES:
            self._blind_since, self._blind_why = first // SECOND, why
            yield self._finding("blind", times, float(seconds // 1), (0.0, away), key, reason=why)
        elif kind == "blind" or (kind == "gap" and probe not in MESSAGE_PROBES):
            yield self._finding("blind_part", times, 1.0, (0.0, 0.0), key, probe=probe, reason=why)
        elif kind == "gap":
            yield self._finding("blind" if seconds >= away else "gap", times, float(seconds // 1), (0.0, away), key, reason=why)
        elif kind == "clock":
            yield self._finding("clock_jump" if seconds >= FAR_S else "clock", times, seconds, (0.0, 0.05), key, reason=why)
        else:
            yield self._finding("disagreement", times, float(max(count, 1)), (0.0, 0.0), key, probe=probe or "", reason=why)

    def _share(self, second: int) -> Iterator[Finding]:
        """Events lost in the last five minutes."""
        if not self._last_loss:
            return
        seen, lost = self._events.value(second)
        notice, page = self.settings["loss_notice"], self.settings["loss_page"]
        if lost < self.settings["loss_least"] or lost <= notice * (seen + lost):
            return
        share = lost / (seen + lost)
        kind, most = ("loss_severe", page) if share > page else ("loss", notice)
        first = max(second - LOSS_WINDOW_S + 1, self._first or 0)
        times = (first * SECOND, (second + 1) * SECOND - 1)
        yield self._finding(kind, times, round(100 * share, 2), (0.0, 100 * most), self._last_loss, lost_events=float(lost))

    def _unseen(self, second: int) -> Iterator[Finding]:
        """The node is away, or its messages are not traced, since some time."""
        away = self.settings["away_s"]
        since = [s for s in (self._away_since, self._blind_since) if s is not None and second - s >= away]
        if since:
            first = min(since)
            why = "The node has ended." if first == self._away_since else self._blind_why
            times = (first * SECOND, second * SECOND)
            yield self._finding("blind", times, float(second - first), (0.0, away), [], reason=why)

    def _silence(self, second: int) -> Iterator[Finding]:
        """No message for longer than chance makes pauses."""
        last, first = self._last_message, self._first
        if last is None or first is None or not self._open or self._away_since is not None or self._blind_since is not None:
            return
        pause, watched = second - last, min(last - first + 1, PACE_WINDOW_S)
        if pause <= self.settings["silence_s"] or watched < PACE_WINDOW_S // 2:
            return
        if self._active is None:
            (self._active,) = self._pace.value(last)
        share = min(self._active / watched, 1 - 1 / PACE_WINDOW_S)
        if share < PACE_LEAST:
            return
        longest = max(self.settings["silence_s"], log(self.settings["silence_p"]) / log1p(-share))
        if pause > longest:
            facts = {"peers_connected": float(len(self._open)), "seconds_with_messages_percent": round(100 * share, 1)}
            times = ((last + 1) * SECOND, second * SECOND)
            yield self._finding("silence", times, float(pause), (0.0, round(longest, 1)), [], **facts)

    def _finding(
        self,
        kind: str,
        times: tuple[int, int],
        measured: float,
        expected: tuple[float, float],
        key: list[Any],
        **facts: float | str,
    ) -> Finding:
        first, last = times
        return Finding(
            kind=kind,
            subject_kind=SubjectKind.NODE,
            subject=self.node,
            first_ts=first,
            last_ts=last,
            score=max(measured / expected[1], 1.0) if expected[1] else 1.0,
            measured=measured,
            expected=expected,
            identifier=f"{_SAME_THING.get(kind, kind)}:{self.node}",
            evidence=(RowKey(*key),) if key else (),
            query=rows_of_time("message" if kind == "silence" else "loss", self.node, first, last),
            facts=facts,
        )
