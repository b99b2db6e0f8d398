"""The book of incidents of one node: findings in, states of incidents out.

Findings with the same identifier are one incident. It opens with the first finding that is worth one, is told again when it gets
worse or a minute has passed, and is resolved when nothing of it was found for its kind's hold time. When the same is found again
soon after, it opens again. Everything follows from the findings and their seconds, so a replay gives the same incidents,
ids and times however it was batched.

Times are told by a clock that is never set back (`Runner.elapsed`); only what is shown is the wall clock's, as it was when
something was last found.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2s
from typing import Any

from peerwatch.alerts.explain import explain
from peerwatch.alerts.incident import MOST_PEERS, Incident, PeerName, State
from peerwatch.detect._api import Finding, Kind, Severity, SubjectKind
from peerwatch.detect.runner import Detected
from peerwatch.detect.visible import visible
from peerwatch.schema.batch import SECOND

UPDATE_S = 60
"""An incident that goes on is told again after so many seconds."""

REARM_S = 600
"""What is found again so many seconds after it was resolved is the same incident."""

HOLD_S = 60
"""Hold time of an incident restored from an archive, until a finding says otherwise."""

WORSE = 2.0
"""A score so many times that of the last row is told at once."""

SEEN_ENOUGH = 0.9
"""Completeness below which nothing is said about what is missing."""

INCIDENTS = 1024
"""Incidents held at a time, the resolved ones that may open again included."""

LONGEST_SUBJECT = 256

_RANK = {severity: rank for rank, severity in enumerate(Severity)}


@dataclass(slots=True)
class _Live:
    """An incident that is open, or resolved so recently that it may open again."""

    incident: str
    identifier: str
    kind: str
    severity: Severity
    first_ts: int
    last_ts: int
    subject_kind: SubjectKind
    subject: str
    peers: dict[tuple[int, int], str | None] = field(default_factory=dict)
    """Addresses by session and peer id; 0 and below are sessions that are not known, as in an archive."""
    findings: int = 0
    score: float = 0.0
    completeness: float = 1.0
    explanation: str = ""
    query: str = ""
    worst: tuple[Kind, Finding] | None = None
    hold_s: int = 0
    found_in: int = 0
    """Second of the newest finding, as all seconds here on the clock that is never set back."""
    back_s: int = 0
    """By how much the wall clock was behind that one then."""
    resolved_in: int | None = None
    told_in: int | None = None
    """Second of the newest row; None when it has to be opened yet."""
    told_score: float = 0.0
    due: bool = True
    """Whether it has changed so that it has to be told."""


class IncidentBook:
    """Incidents of one node."""

    def __init__(self, node: str, *, hold_s: float | None = None) -> None:
        """Start with none. `hold_s`, if given, is the hold time of every kind."""
        self.node = node
        self._hold_s = hold_s
        self.suppressed = 0
        """Findings that opened no incident: only to be recorded, found while warming up, or without having seen enough."""
        self.refused = 0
        """Findings for which there was no room."""
        self._live: dict[str, _Live] = {}

    def take(self, detected: Iterable[Detected], elapsed: int) -> list[Incident]:
        """Take findings in order of time; returns what changed.

        Args:
            detected: what the runner has found since the last call.
            elapsed: the runner's present second, on the clock that is never set back. What was found in it may not be all;
                it is told by a later call.
        """
        changes: list[Incident] = []
        for each in detected:
            self._pass_to(each.elapsed, changes)
            self._add(each)
        self._pass_to(elapsed, changes)
        return changes

    def restore(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Go on with the incidents of an archive: rows of table `incident` in order of time, as Python values."""
        for row in rows:
            resolved = row["state"] == State.RESOLVED
            second = row["ts"] // SECOND - 1
            self._live[row["identifier"]] = _Live(
                incident=row["incident"],
                identifier=row["identifier"],
                kind=row["kind"],
                severity=Severity(row["severity"]),
                first_ts=row["first_ts"],
                last_ts=row["last_ts"],
                subject_kind=SubjectKind(row["subject_kind"]),
                subject=row["subject"],
                peers={(-nth, peer["id"]): peer["address"] for nth, peer in enumerate(json.loads(row["peers"]))},
                findings=row["findings"],
                score=row["score"],
                completeness=row["completeness"],
                explanation=row["explanation"],
                query=row["query"],
                hold_s=HOLD_S if self._hold_s is None else int(self._hold_s),
                found_in=second,
                resolved_in=second if resolved else None,
                told_in=second,
                told_score=row["score"],
                due=False,
            )

    def open(self) -> list[str]:
        """Ids of the incidents that are open."""
        return [live.incident for live in self._live.values() if live.resolved_in is None]

    def _add(self, each: Detected) -> None:
        finding, kind = each.finding, each.kind
        live = self._live.get(finding.identifier)
        if live is None or live.resolved_in is not None:
            if self._only_recorded(each):
                self.suppressed += 1
                return
            if live is None and len(self._live) >= INCIDENTS:
                self.refused += 1
                return
            live = self._opened(each, live)
        live.findings += 1
        live.found_in, live.back_s = each.elapsed, each.back_s
        live.hold_s = max(live.hold_s, kind.hold_s) if self._hold_s is None else int(self._hold_s)
        live.first_ts, live.last_ts = min(live.first_ts, finding.first_ts), max(live.last_ts, finding.last_ts)
        live.completeness = min(live.completeness, finding.completeness)
        live.due |= self._merge_peers(live, each)
        if finding.subject != live.subject or finding.subject_kind != live.subject_kind:
            live.subject_kind, live.subject = SubjectKind.NODE, self.node
        worse = _RANK[kind.severity] > _RANK[live.severity]
        if worse or live.worst is None or (kind.severity == live.severity and finding.score >= live.score):
            live.worst, live.query = (kind, finding), finding.query
        live.due |= worse or finding.score >= WORSE * live.told_score or each.elapsed - (live.told_in or 0) >= UPDATE_S
        live.severity = kind.severity if worse else live.severity
        live.score = max(live.score, finding.score)

    def _only_recorded(self, each: Detected) -> bool:
        kind = each.kind
        return (
            kind.severity is Severity.RECORD
            or each.in_sight_s < kind.warm_up_s
            or (kind.absence and each.finding.completeness < SEEN_ENOUGH)
        )

    def _opened(self, each: Detected, before: _Live | None) -> _Live:
        """A new incident, or one that was resolved and opens again."""
        finding = each.finding
        if before is not None:
            before.resolved_in, before.told_in, before.due = None, None, True
            return before
        key = f"{self.node}\0{finding.identifier}\0{each.elapsed}".encode()
        live = self._live[finding.identifier] = _Live(
            incident=blake2s(key, digest_size=8).hexdigest(),
            identifier=finding.identifier,
            kind=finding.kind,
            severity=each.kind.severity,
            first_ts=finding.first_ts,
            last_ts=finding.last_ts,
            subject_kind=finding.subject_kind,
            subject=visible(finding.subject, LONGEST_SUBJECT),
        )
        return live

    def _merge_peers(self, live: _Live, each: Detected) -> bool:
        """Add the finding's peers; whether one is new."""
        new = False
        for peer in each.finding.peers:
            key, address = (each.finding.session, peer), each.addresses.get(peer)
            if key not in live.peers and (same := _unnumbered(live, peer, address)):
                live.peers = {key if k == same else k: a for k, a in live.peers.items()}
            if key not in live.peers and len(live.peers) >= MOST_PEERS:
                continue
            new |= key not in live.peers
            live.peers[key] = address or live.peers.get(key)
        return new

    def _pass_to(self, second: int, changes: list[Incident]) -> None:
        """All before `second` is over: tell what is due, resolve what was not found again."""
        if not second:
            return  # the runner's clock does not go yet
        told: list[tuple[int, Incident]] = []
        for identifier, live in list(self._live.items()):
            # One of an archive may be from a time to come, when the clock was set back while nothing ran.
            live.found_in = min(live.found_in, second)
            if live.resolved_in is None:
                if live.due and live.found_in < second:
                    state = State.OPEN if live.told_in is None else State.UPDATED
                    told.append((live.found_in, self._told(live, state, live.found_in)))
                if live.found_in + live.hold_s < second:
                    live.resolved_in = live.found_in + live.hold_s
                    told.append((live.resolved_in, self._told(live, State.RESOLVED, live.resolved_in)))
            if live.resolved_in is not None and live.resolved_in + REARM_S < second:
                del self._live[identifier]
        changes += [incident for _, incident in sorted(told, key=lambda each: each[0])]

    def _told(self, live: _Live, state: State, second: int) -> Incident:
        live.told_in, live.told_score, live.due = second, live.score, False
        peers = tuple(PeerName(peer, address) for (_, peer), address in live.peers.items())
        if live.worst is not None:
            kind, finding = live.worst
            live.explanation = explain(kind, finding, peers, live.first_ts, live.completeness)
        return Incident(
            ts=(second - live.back_s + 1) * SECOND,
            incident=live.incident,
            identifier=live.identifier,
            kind=live.kind,
            severity=live.severity,
            state=state,
            first_ts=live.first_ts,
            last_ts=live.last_ts,
            subject_kind=live.subject_kind,
            subject=live.subject,
            peers=peers,
            findings=live.findings,
            score=live.score,
            completeness=live.completeness,
            explanation=live.explanation,
            query=live.query,
        )


def _unnumbered(live: _Live, peer: int, address: str | None) -> tuple[int, int] | None:
    """Key of a peer whose session is not known, and which may be this one."""
    for key, known in live.peers.items():
        if key[0] <= 0 and key[1] == peer and (address is None or known is None or address == known):
            return key
    return None
