"""What a guest reported, and whether that is a success."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

OUTCOMES = ("passed", "failed", "skipped")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a boot must have been to count."""

    suite: str
    preemption: str
    processors: int


@dataclass(slots=True)
class Report:
    """The results of one boot."""

    wanted: Wanted
    release: str = "did not start"
    preemption: str = ""
    processors: int = 0
    attach: str = ""
    """How peerwatch attaches on this kernel when it is not told."""
    outcomes: dict[str, str] = field(default_factory=dict)
    """Outcome by test."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Why a test failed or was skipped, in one line."""
    status: int | None = None
    """Exit status of pytest; None until it ended."""
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)
    """What the host saw go wrong."""

    def of(self, outcome: str) -> list[str]:
        """Return the tests that had this outcome."""
        return [test for test, had in self.outcomes.items() if had == outcome]

    def problems(self) -> list[str]:
        """Return what stands against success: an empty list is a success, and nothing else is."""
        found = [*self.faults, *(f"{test}: {self.reasons[test]}" for test in self.of("failed"))]
        if self.status is None:
            found.append("the guest did not report the end of its tests: see the console log")
        elif self.status:
            found.append(f"pytest ended with status {self.status}")
        if self.preemption != self.wanted.preemption:
            found.append(f"preemption was {self.preemption or 'unknown'}, not {self.wanted.preemption}")
        if self.processors != self.wanted.processors:
            found.append(f"there were {self.processors} CPUs, not {self.wanted.processors}")
        if not self.of("passed"):
            found.append("no test passed")
        return found

    def notes(self) -> list[str]:
        """Return what was not tested, with the reason, so that a check that is left out is seen."""
        return [f"{test} skipped: {self.reasons[test]}" for test in self.of("skipped")]


def read_report(wanted: Wanted, lines: Iterable[str]) -> Report:
    """Read the lines of the guest's second serial port; a last line that was cut off is ignored."""
    report = Report(wanted)
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        match row["kind"]:
            case "system":
                report.release, report.preemption, report.processors = row["release"], row["preemption"], row["processors"]
            case "attach":
                report.attach = row["method"]
            case "test":
                _add_test(report, row["test"], row["outcome"], row["reason"])
            case "end":
                report.status, report.seconds = row["status"], row["seconds"]
            case unknown:
                report.faults.append(f"the guest sent a row of unknown kind {unknown}")
    return report


def _add_test(report: Report, test: str, outcome: str, reason: str) -> None:
    """Keep the worst outcome: a test that passed and failed in its tear-down has failed."""
    if report.outcomes.get(test) != "failed":
        report.outcomes[test] = outcome
        report.reasons[test] = reason


def table(reports: Sequence[Report]) -> str:
    """Return a table with one row a kernel."""
    rows: list[tuple[str, ...]] = [("suite", "kernel", "preemption", "attaches by", *OUTCOMES, "seconds")]
    for report in reports:
        counts = (str(len(report.of(outcome))) for outcome in OUTCOMES)
        rows.append((report.wanted.suite, report.release, report.preemption, report.attach, *counts, f"{report.seconds:.0f}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
