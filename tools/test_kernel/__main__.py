"""Boots Debian's kernels and runs the kernel tests inside: `tools/test_kernel/run.sh`, or `make test-kernel`."""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.test_kernel.kernels import SUITES, make_kernel
from tools.test_kernel.machine import PROCESSOR, Machine
from tools.test_kernel.payload import make_payload
from tools.test_kernel.report import Report, Wanted, read_report, table
from tools.test_kernel.rootfs import make_image
from tools.test_kernel.steps import StepError, step
from tools.test_kernel.workshop import make_workshop

ROOT = Path(__file__).parents[2]

PYTEST = ("-m", "kernel and not soak", "-p", "no:cacheprovider", "-n", "0", "-o", "timeout=600", "--color=no", "--tb=short", "-v")
"""Arguments of pytest in the guest. Its time limit is wider: emulation is 10 to 20 times slower."""

TESTS = (
    *(f"tests/kernel/test_{name}.py" for name in ("attach", "capabilities", "capture", "kernel", "libbpf", "tracer")),
    "tests/kernel/test_run.py::test_a_restarted_node_is_traced_from_its_first_message",
    "tests/kernel/test_supervise.py::test_a_killed_watcher_is_started_again",
)
"""What depends on the kernel. The other tests in tests/kernel do not, or their loads are too much for an emulated machine."""


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line; what a build service sets has an environment variable, too."""
    parser = argparse.ArgumentParser(
        prog="tools/test_kernel/run.sh",
        description="Boot kernels that Debian ships under qemu and run the kernel tests inside.",
        epilog="Example: tools/test_kernel/run.sh --suite bookworm -- tests/kernel -k ring",
    )
    variable = os.environ.get
    parser.add_argument(
        "--suite", action="append", metavar="NAME", help=f"the kernel's Debian suite; default {', '.join(SUITES)}"
    )
    parser.add_argument("--cache", type=Path, default=variable("PEERWATCH_VM_CACHE", "build/vm"), help="default %(default)s")
    parser.add_argument(
        "--accelerator",
        choices=sorted(PROCESSOR),
        default=variable("PEERWATCH_VM_ACCELERATOR", "tcg"),
        help="default %(default)s",
    )
    parser.add_argument("--preemption", default="full", help="none, voluntary, full or lazy; default %(default)s")
    parser.add_argument("--limit", type=float, default=variable("PEERWATCH_VM_LIMIT", "1500"), help="seconds a boot may take")
    parser.add_argument("--scale", default=variable("PEERWATCH_TEST_SCALE", "0.1"), help="share of the tests' usual load")
    parser.add_argument(
        "pytest", nargs="*", default=[*TESTS], help="arguments of pytest; default the tests that depend on the kernel"
    )
    return parser.parse_args(arguments)


@contextmanager
def locked(cache: Path) -> Iterator[None]:
    """Hold the cache folder alone: two runs would boot each other's disks."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"  waiting for another run that uses {cache}", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def test(suite: str, machine: Machine, cache: Path, limit: float) -> Report:
    """Boot the kernel of a suite and return what its tests gave."""
    kernel = make_kernel(cache, machine.workshop, suite)
    console, results = (cache / f"logs/{name}-{suite}.log" for name in ("console", "results"))
    with step(f"tests under {kernel.release} (console: {console})"):
        ended = machine.boot(kernel, console=console, results=results, limit=limit)
    report = read_report(Wanted(suite, machine.preemption, machine.processors), results.read_text(errors="replace").splitlines())
    if not ended:
        report.faults.append(f"switched off after {limit:.0f} s")
    return report


def run(options: argparse.Namespace) -> int:
    """Test every kernel asked for, print the table and what it hides; return 0 if all passed, or 1."""
    begin = time.monotonic()
    cache = options.cache.resolve()
    with locked(cache):
        workshop, system = make_workshop(cache), make_image(cache, ROOT)
        payload = make_payload(ROOT, cache, [*PYTEST, *options.pytest], {"PEERWATCH_TEST_SCALE": options.scale})
        machine = Machine(workshop, system, payload, options.accelerator, options.preemption)
        reports = [test(suite, machine, cache, options.limit) for suite in options.suite or SUITES]
    print(f"\n{table(reports)}\n")
    for report in reports:
        for line in (*report.problems(), *report.notes()):
            print(f"{report.wanted.suite}: {line}")
    failed = sum(bool(report.problems()) for report in reports)
    print(f"{len(reports) - failed} kernels passed, {failed} failed, in {time.monotonic() - begin:.0f} s")
    return 1 if failed else 0


def main() -> int:
    """Return the exit status: 0 if all passed, 1 if not, 2 if a machine could not be made."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # ends the machine, too
    try:
        return run(parse(sys.argv[1:]))
    except StepError as error:
        print(f"test-kernel: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
