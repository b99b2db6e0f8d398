"""Only a boot that ran the tests as asked, to their end and without a failure counts as a success."""

from __future__ import annotations

import json

import pytest

from tools.test_kernel.report import Report, Wanted, read_report, table

WANTED = Wanted("bookworm", "full", 2)
SYSTEM = {"kind": "system", "release": "6.1.0-50-amd64", "preemption": "full", "processors": 2}
ATTACH = {"kind": "attach", "method": "perf uprobes"}
PASSED = {"kind": "test", "test": "a.py::one", "outcome": "passed", "reason": "", "seconds": 1.0}
SKIPPED = {"kind": "test", "test": "a.py::two", "outcome": "skipped", "reason": "no such link", "seconds": 0.0}
FAILED = {"kind": "test", "test": "a.py::three", "outcome": "failed", "reason": "assert 1 == 2", "seconds": 0.0}
END = {"kind": "end", "status": 0, "seconds": 12.3}


def report(*rows: dict[str, object]) -> Report:
    return read_report(WANTED, [json.dumps(row) for row in rows])


def test_a_whole_run_is_a_success() -> None:
    """Tests that passed, in the machine asked for, with an end: no problems, and every figure is kept."""
    found = report(SYSTEM, ATTACH, PASSED, SKIPPED, END)
    assert found.problems() == []
    assert (found.release, found.attach, found.seconds) == ("6.1.0-50-amd64", "perf uprobes", 12.3)
    assert found.of("passed") == ["a.py::one"]
    assert found.notes() == ["a.py::two skipped: no such link"]


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ((), "did not report the end"),
        ((SYSTEM, ATTACH, PASSED), "did not report the end"),
        ((SYSTEM, ATTACH, SKIPPED, END), "no test passed"),
        ((SYSTEM, ATTACH, END), "no test passed"),
        ((SYSTEM, ATTACH, PASSED, FAILED, {**END, "status": 1}), "assert 1 == 2"),
        ((SYSTEM, ATTACH, PASSED, {**END, "status": 3}), "status 3"),
        (({**SYSTEM, "preemption": "voluntary"}, ATTACH, PASSED, END), "preemption was voluntary"),
        (({**SYSTEM, "processors": 1}, ATTACH, PASSED, END), "1 CPUs"),
        ((SYSTEM, {"kind": "surprise"}, PASSED, END), "unknown kind surprise"),
    ],
)
def test_anything_less_is_a_failure(rows: tuple[dict[str, object], ...], problem: str) -> None:
    """A crash, a run without tests, a failure, another machine than asked for: each is named."""
    assert any(problem in found for found in report(*rows).problems())


@pytest.mark.parametrize("order", [1, -1])
def test_a_test_that_fails_in_its_tear_down_has_failed(order: int) -> None:
    """Of several outcomes of one test the worst is kept, whichever came first."""
    rows = (PASSED, {**PASSED, "outcome": "failed", "reason": "left a process behind"})
    assert report(SYSTEM, ATTACH, *rows[::order], END).of("failed") == ["a.py::one"]


def test_what_a_crash_cut_off_is_ignored() -> None:
    """Lines before the last, incomplete one count."""
    lines = [json.dumps(SYSTEM), json.dumps(PASSED), json.dumps(FAILED)[:30]]
    assert read_report(WANTED, lines).outcomes == {"a.py::one": "passed"}


def test_the_table_has_a_row_a_kernel() -> None:
    """Columns line up, also for a kernel that did not start."""
    lines = table([report(SYSTEM, ATTACH, PASSED, SKIPPED, END), report()]).splitlines()
    assert lines[1].split() == ["bookworm", "6.1.0-50-amd64", "full", "perf", "uprobes", "1", "0", "1", "12"]
    assert lines[2].split() == ["bookworm", "did", "not", "start", "0", "0", "0", "0"]
    assert (
        len({line.index(word) for line, word in zip(lines, ("passed", "1 ", "0 "), strict=True)} - {lines[0].index("passed")})
        <= 1
    )
