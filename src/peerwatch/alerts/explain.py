"""What an incident says, in plain English: what was seen, what is normal, who, since when, how sure, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from peerwatch.alerts.incident import MOST_PEERS, PeerName
from peerwatch.detect._api import Finding, Kind, SubjectKind
from peerwatch.detect.visible import visible
from peerwatch.schema.batch import SECOND

NAMED = 10
"""Peers that the text names; all of them are in the incident's `peers`."""

LONGEST_FACT = 200
"""Characters of one fact."""

NEARLY_ALL = 0.999

PERCENT = "_percent"
"""How names of facts end that are percentages."""


def explain(kind: Kind, worst: Finding, peers: Sequence[PeerName], first_ts: int, completeness: float) -> str:
    """The text of an incident.

    Args:
        kind: what the worst finding means.
        worst: the finding with the highest score among the most severe.
        peers: peers concerned, at most `MOST_PEERS`.
        first_ts: when it began, ns UTC.
        completeness: share of events seen in its time, the lowest of its findings.
    """
    parts = [
        kind.meaning,
        _measured(kind, worst, several=len(peers) > 1),
        f"Normal: {kind.normal}" if kind.normal else "",
        _who(peers),
        f"Since {clock_time(first_ts)}.",
        _facts(worst.facts),
        _sure(completeness),
        f"What to do: {kind.advice}",
    ]
    return visible(" ".join(part for part in parts if part))


def clock_time(ts: int) -> str:
    """A time (ns UTC) to the second.

    >>> clock_time(1_626_000_000_000_000_000)
    '2021-07-11 10:40:00 UTC'
    """
    return datetime.fromtimestamp(ts // SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _measured(kind: Kind, finding: Finding, *, several: bool) -> str:
    """What was measured; without what is expected where it lies within that, and nothing where there was nothing to measure."""
    low, high = finding.expected
    expected = f"at most {_number(high)}" if low <= 0 else f"{_number(low)} to {_number(high)}"
    whose = f" for peer {finding.subject}" if several and finding.subject_kind is SubjectKind.PEER else ""
    measured = f"Measured{whose}: {_number(finding.measured)} {kind.unit}"
    if low <= finding.measured <= high:
        return f"{measured}." if finding.measured else ""
    return f"{measured}, where {expected} would be expected."


def _who(peers: Sequence[PeerName]) -> str:
    if not peers:
        return ""
    named = ", ".join(f"{p.id} ({p.address})" if p.address else str(p.id) for p in peers[:NAMED])
    left = len(peers) - NAMED
    more = f" and {'at least ' if len(peers) >= MOST_PEERS else ''}{left} more" if left > 0 else ""
    return f"{'Peer' if len(peers) == 1 else 'Peers'}: {named}{more}."


def _facts(facts: Mapping[str, float | str]) -> str:
    told = [visible(_fact(name, value), LONGEST_FACT) for name, value in facts.items()]
    return f"Also: {', '.join(told)}." if told else ""


def _fact(name: str, value: float | str) -> str:
    """A fact as its name says: `future_times_percent` becomes "future times 84 %"."""
    words = name.removesuffix(PERCENT).replace("_", " ")
    return f"{words} {value if isinstance(value, str) else _number(value)}{' %' if name.endswith(PERCENT) else ''}"


def _sure(completeness: float) -> str:
    if completeness >= NEARLY_ALL:
        return "All events of that time were seen."
    if completeness <= 1 - NEARLY_ALL:
        return "Next to nothing of that time was seen."
    return f"Only {100 * completeness:.1f} % of the events of that time were seen, so it may be more."


def _number(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ") if float(value).is_integer() else f"{value:.4g}"
