"""An incident: findings about the same thing, from the first one until it is over."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from peerwatch.detect._api import Severity, SubjectKind

MOST_PEERS = 256
"""Peers that one incident names."""


NEWEST_FIRST = "findings DESC, state = 'resolved' DESC, session DESC, seq DESC"
"""SQL order of the rows of one incident, the present state first.

Times and sessions are of the wall clock, which may be set back, and `seq` starts over with each session. But the findings merged
so far only grow, and of rows with equally many, one resolved it.
"""


class State(StrEnum):
    """Where an incident is in its life. A resolved one opens again when the same is found soon after."""

    OPEN = "open"
    UPDATED = "updated"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class PeerName:
    """A peer concerned: its id, and its address as far as it is known (escaped, bounded)."""

    id: int
    address: str | None


@dataclass(frozen=True, slots=True)
class Incident:
    """One state of an incident, at `ts` (ns UTC, event time). Fields as the columns of table `incident`."""

    ts: int
    incident: str
    identifier: str
    kind: str
    severity: Severity
    state: State
    first_ts: int
    last_ts: int
    subject_kind: SubjectKind
    subject: str
    peers: tuple[PeerName, ...]
    findings: int
    score: float
    completeness: float
    explanation: str
    query: str
