"""Tables of figures: for the terminal, and in docs/benchmarks.md."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from bench.figures import Figure

DOCUMENT = Path(__file__).parents[1] / "docs/benchmarks.md"

_HEAD = ("", "best", "median", "times", "must", "goal")


def table(figures: Sequence[Figure]) -> str:
    """For the terminal: columns of equal width."""
    rows = [_HEAD, *(_cells(f) for f in figures)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]) for row in rows
    )


def markdown(figures: Sequence[Figure]) -> str:
    """For the document."""
    lines = [_HEAD, ("---", *["---:"] * (len(_HEAD) - 1)), *(_cells(f) for f in figures)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def as_json(name: str, figures: Sequence[Figure]) -> str:
    """For programs: one object a line."""
    return "\n".join(
        json.dumps(
            {"topic": name, "name": f.name, "unit": f.unit, "values": list(f.values), "best": f.best, "median": f.median}
            | ({"must": f.meets(f.budget.must), "goal": f.meets(f.budget.goal)} if f.budget else {})
        )
        for f in figures
    )


def write(name: str, body: str, document: Path = DOCUMENT) -> None:
    """Put a topic's figures between their marks in the document.

    Raises:
        ValueError: the document has no such marks.
    """
    begin, end = f"<!-- figures: {name} -->", "<!-- end -->"
    found = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    text, count = found.subn(lambda _: f"{begin}\n\n{body}\n\n{end}", document.read_text())
    if count != 1:
        raise ValueError(f"{document} must have {begin} … {end} once")
    document.write_text(text)


def _cells(figure: Figure) -> tuple[str, ...]:
    best, middle = (f"{number(v)} {figure.unit}".rstrip() for v in (figure.best, figure.median))
    return (figure.name, best, middle, str(len(figure.values)), *(_bound(figure, goal=goal) for goal in (False, True)))


def _bound(figure: Figure, *, goal: bool) -> str:
    if figure.budget is None:
        return ""
    bound = figure.budget.goal if goal else figure.budget.must
    sign = "≥" if figure.is_rate else "≤"
    return f"{sign} {number(bound)} {'met' if figure.meets(bound) else 'NOT MET'}"


def number(value: float) -> str:
    """Three digits, without exponents."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}".removesuffix(".0")
    return f"{value:.3g}"
