#!/usr/bin/env python3
"""Runs a fuzz target for some time: `tests/fuzz/run.py messages --seconds 600`, or again over inputs that failed, given as files.

It fails (exit status not 0) at the first input that is read wrongly, and leaves that input in build/fuzz.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import atheris

ROOT = Path(__file__).parents[2]
TARGETS = ("messages", "capture")
LONGEST = 4096
"""Bytes of an input."""
SLOW_S = 20
"""An input that takes longer is a failure, too."""
MEMORY_MB = 2000
"""A process that grows beyond this is a failure, too."""
ROUND_S = 180
"""A process ends after this time, and another goes on with what it found: atheris 3.0 keeps the result of every comparison of
arrays in the modules that it watches, some kilobytes an input.
"""


def store(inputs: Iterable[bytes], folder: Path) -> None:
    """Inputs as files, named for what is in them."""
    folder.mkdir(parents=True, exist_ok=True)
    for data in inputs:
        (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


def main() -> None:
    """Fuzz in rounds; leaves with the status of the first that fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60, help="how long (default 60)")
    parser.add_argument("--work", type=Path, default=ROOT / "build/fuzz", help="where inputs are kept (default build/fuzz)")
    parser.add_argument("files", nargs="*", help="only try these inputs")
    options = parser.parse_intermixed_args()
    left = options.seconds
    while left > ROUND_S and not options.files:
        command = [sys.executable, __file__, options.target, "--seconds", str(ROUND_S), "--work", str(options.work)]
        if status := subprocess.run(command, check=False).returncode:
            sys.exit(status)
        left -= ROUND_S
    fuzz(options.target, left, options.work, options.files)


def fuzz(name: str, seconds: int, work: Path, files: list[str]) -> None:
    """One round, or a try of some files; the process ends here, as libFuzzer does not return."""
    with atheris.instrument_imports(include=["peerwatch", "tests"]):
        target = importlib.import_module(f"tests.fuzz.{name}")
        inputs = list(target.seeds(LONGEST))
        target.one_input(b"")  # imports also what is found by walking a package
    corpus, failed = work / name, work / f"{name}-failed-"
    arguments = [sys.argv[0], f"-artifact_prefix={failed}", f"-timeout={SLOW_S}", f"-rss_limit_mb={MEMORY_MB}"]
    if files:
        arguments += files
    else:
        store(inputs, corpus)
        arguments += [f"-max_total_time={seconds}", f"-max_len={LONGEST}", "-print_final_stats=1", str(corpus)]
        sys.stderr.write(f"fuzz: an input that fails is written to {failed}*; again: {sys.argv[0]} {name} FILE\n")
    atheris.Setup(arguments, target.one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
