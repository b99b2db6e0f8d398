"""Runs in the guest: the tests, with one JSON line a fact or test to the port named as the argument."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
import time
from pathlib import Path

import pytest

from peerwatch.sources.usdt.kernel import Kernel, KernelError


class Port:
    """Writes rows to the serial port, each at once: what a crash leaves behind is what had happened."""

    def __init__(self, path: str) -> None:
        """Open the port."""
        self._descriptor = os.open(path, os.O_WRONLY | os.O_NOCTTY)

    def write(self, kind: str, **row: str | float) -> None:
        """Write one row."""
        data = json.dumps({"kind": kind, **row}).encode() + b"\n"
        while data:
            data = data[os.write(self._descriptor, data) :]


class Reporter:
    """Pytest plug-in that reports the outcome of each test when it is known."""

    def __init__(self, port: Port) -> None:
        """Report to `port`."""
        self._port = port

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Report a test's body, and its set-up or tear-down where they decide."""
        if report.when == "call" or not report.passed:
            self._port.write("test", test=report.nodeid, outcome=report.outcome, reason=reason(report), seconds=report.duration)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Report a file that cannot be imported like a failed test."""
        if not report.passed:
            self._port.write("test", test=report.nodeid, outcome=report.outcome, reason=reason(report), seconds=0.0)


def reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return in one line why a test failed or was skipped."""
    told = report.longrepr
    if isinstance(told, tuple):
        return told[2]
    crash = getattr(told, "reprcrash", None)
    lines = (crash.message if crash else str(told or "")).splitlines()
    return lines[0 if crash else -1] if lines else ""


def preemption() -> str:
    """Return the preemption model that is in force: the scheduler marks it with brackets."""
    chosen = re.search(r"\((\w+)\)", Path("/sys/kernel/debug/sched/preempt").read_text())
    return chosen[1] if chosen else "unknown"


def attach_method() -> str:
    """Return how peerwatch attaches here when it is not told, or that it cannot load."""
    try:
        kernel = Kernel.load(ring_bytes=1 << 20)
    except KernelError as error:
        print(error, error.log, sep="\n")
        return "not loaded"
    try:
        return kernel.attach_method
    finally:
        kernel.close()


def main() -> None:
    """Run what the host asked for in `guest.json`."""
    port = Port(sys.argv[1])
    port.write("system", release=platform.release(), preemption=preemption(), processors=len(os.sched_getaffinity(0)))
    port.write("attach", method=attach_method())
    orders = json.loads(Path("guest.json").read_text())
    os.environ.update(orders["environment"])
    begin = time.monotonic()
    status = pytest.main(orders["arguments"], plugins=[Reporter(port)])
    port.write("end", status=int(status), seconds=round(time.monotonic() - begin, 1))


if __name__ == "__main__":
    main()
