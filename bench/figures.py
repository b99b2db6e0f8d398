"""What a benchmark gives: figures, each measured several times and held against its budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Budget:
    """What a figure must reach and what is aimed at; a rate must be at least, everything else at most that."""

    must: float
    goal: float


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity.

    `values` has one entry a repetition. Whatever else the machine does makes a measurement worse and never better, so the best
    of them says most about the code: the least, or of a rate the greatest.
    """

    name: str
    unit: str
    values: Sequence[float]
    budget: Budget | None = None
    is_rate: bool = False
    """Whether more is better."""

    @property
    def best(self) -> float:
        """The least, or of a rate the greatest."""
        return max(self.values) if self.is_rate else min(self.values)

    @property
    def median(self) -> float:
        """The median of the repetitions."""
        return float(median(self.values))

    def meets(self, bound: float) -> bool:
        """Whether the best value is within a bound."""
        return self.best >= bound if self.is_rate else self.best <= bound


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured: in full, or just enough to see that everything works."""

    quick: bool

    def of(self, full: int, quick: int) -> int:
        """One number or the other."""
        return quick if self.quick else full


@dataclass(frozen=True, slots=True)
class Topic:
    """A group of figures that are measured together. `about` says in a few sentences what is measured, and how."""

    title: str
    about: str
    measure: Callable[[Scale], list[Figure]]
    traces: bool = False
    """Whether it attaches to the kernel, which only root may."""
