"""What a detector is: options, `update` with rows, `tick` at every second of event time, findings out.

A detector never formats, routes, suppresses or logs, and keeps bounded state. The runner gives it the rows of one second
(possibly in several calls), then ticks that second. For findings not to depend on how rows were batched, a detector

- takes rows of one table in the order given, and treats rows of different tables of the same second as simultaneous: whichever
  comes first in a call, the state after the tick is the same (sums of integers are; sums of floats are not);
- judges in `tick`, where the second is whole;
- may rely on time going on, but for `clock_set_back`;
- does not count ticks: while nothing happens the runner ticks every second for ten minutes, then every minute for a day, then
  every day (see `detect.clock`). Time that has passed is the difference of seconds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from peerwatch.schema.batch import Rows
from peerwatch.schema.table import Table


class SubjectKind(StrEnum):
    """What a finding can be about."""

    PEER = "peer"
    ADDRESS = "address"
    NETGROUP = "netgroup"
    ASN = "asn"
    ENTITY = "entity"
    NODE = "node"
    FLEET = "fleet"


class Severity(StrEnum):
    """How loud an incident of a kind is: only recorded, worth a notice, worth waking somebody."""

    RECORD = "record"
    NOTICE = "notice"
    PAGE = "page"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of finding that a detector declares: what it means and what to do, in plain English."""

    name: str
    severity: Severity
    meaning: str
    """What was seen, as a sentence with a full stop."""
    unit: str
    """Unit of `measured` and `expected`."""
    advice: str
    """What to look at and what could be done."""
    normal: str = ""
    """What is normal, and how that is known."""
    warm_up_s: int = 0
    """In the first so many seconds after a node came into sight, findings of this kind are recorded but open no incident."""
    hold_s: int = 60
    """An incident is over when nothing of it was found for so long."""
    absence: bool = False
    """Whether it is about something missing; then it opens no incident for a time that was not wholly seen."""


@dataclass(frozen=True, slots=True)
class Option:
    """What an operator can set: a default with unit, meaning and basis (Core constant, incident, derivation, heuristic)."""

    default: float
    unit: str
    doc: str
    basis: str


@dataclass(frozen=True, slots=True)
class RowKey:
    """Identity of one row, as evidence."""

    table: str
    session: int
    source: str
    seq: int


@dataclass(frozen=True, slots=True)
class Finding:
    """A measured value outside of what is expected, about one subject, over one time.

    `score` is 1 at the threshold and grows with distance. `identifier` is equal for findings about the same thing, so that they
    become one incident. A detector repeats its finding (at most once a second each) for as long as it holds.
    """

    kind: str
    subject_kind: SubjectKind
    subject: str
    first_ts: int
    last_ts: int
    score: float
    measured: float
    expected: tuple[float, float]
    identifier: str
    peers: tuple[int, ...] = ()
    session: int = 0
    """Session of the source that numbers `peers`: the node's next process numbers others alike. 0 when it is not known."""
    evidence: tuple[RowKey, ...] = ()
    query: str = ""
    completeness: float = 1.0
    facts: Mapping[str, float | str] = field(default_factory=dict)
    """Further measured values that an explanation may name; names that end in `_percent` are percentages."""


class Detector(ABC):
    """Base of all detectors: one module under `detect/detectors`, named like its detector."""

    name: ClassVar[str]
    """Set from the module's name."""
    title: ClassVar[str]
    """What it recognizes, in a few words."""
    catalogue: ClassVar[tuple[str, ...]]
    """Rows of the attack catalogue that it covers (A01 …)."""
    references: ClassVar[tuple[str, ...]]
    """Papers, incidents, BIPs, Core pull requests."""
    reads: ClassVar[Mapping[type[Table], tuple[str, ...]]]
    """Tables and columns that it needs; an archive without them cannot run it."""
    kinds: ClassVar[tuple[Kind, ...]]
    options: ClassVar[Mapping[str, Option]]

    def __init__(self, options: Mapping[str, float] | None = None) -> None:
        """Start with defaults, or with `options` over them.

        Raises:
            ValueError: an option that the detector does not have.
        """
        given = dict(options or {})
        if unknown := given.keys() - self.options.keys():
            raise ValueError(f"detector {self.name} has no option {', '.join(sorted(unknown))}; it has {', '.join(self.options)}")
        self.settings = {name: float(given.get(name, option.default)) for name, option in self.options.items()}
        self.node = ""

    node: str
    """Name of the node whose rows it gets, set by the runner; for identifiers and queries."""

    def __init_subclass__(cls) -> None:
        """Name the detector after its module."""
        super().__init_subclass__()
        cls.name = cls.__module__.rsplit(".", 1)[-1]

    @abstractmethod
    def update(self, rows: Mapping[str, Rows]) -> Iterable[Finding]:
        """Take rows (by table name) of the current second; only tables that it reads, and only those that have rows."""

    @abstractmethod
    def tick(self, second: int) -> Iterable[Finding]:
        """Second `second` (since 1970) is over: all its rows have been given."""

    @abstractmethod
    def snapshot(self) -> dict[str, Any]:
        """All state, as JSON-able values."""

    @abstractmethod
    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a snapshot as if nothing had happened."""

    def clock_set_back(self, by_s: int, fresh: Mapping[str, Any]) -> None:
        """The clock was set back by so many seconds: the next second is an earlier one, and times kept lie in the future.

        Starts afresh unless a detector knows better what stays true; `fresh` is its snapshot from before any row.
        """
        del by_s
        self.restore(fresh)
