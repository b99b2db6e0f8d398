"""Running commands with their output in a log, saying what takes long, and not doing again what is done."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOG_TAIL = 25
"""Lines of a failed command's log that are shown."""


class StepError(Exception):
    """A step cannot be done; the text says why, and what to do."""


@contextmanager
def step(name: str) -> Iterator[None]:
    """Print the name of a step when it begins and its duration when it is done."""
    print(f"  {name} ...", end="", flush=True)
    begin = time.monotonic()
    try:
        yield
    except BaseException:
        print(" failed", flush=True)
        raise
    print(f" {time.monotonic() - begin:.0f} s", flush=True)


def run(*command: str | Path, log: Path, environment: dict[str, str] | None = None) -> None:
    """Run a command to its end, with its output appended to `log`.

    Raises:
        StepError: It failed, or is not there; with the end of its output.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with log.open("ab") as output:
            subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=True, env=environment)
    except FileNotFoundError as error:
        raise StepError(f"there is no command {command[0]}: see docs/kernels.md for the packages needed") from error
    except subprocess.CalledProcessError as error:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL:])
        raise StepError(f"{command[0]} failed with status {error.returncode} ({log}):\n{tail}") from error


class Stamp:
    """Remembers in a file by which recipe something was made, so that it is made again only when the recipe changes."""

    def __init__(self, file: Path, recipe: str) -> None:
        """Compare against `recipe`, which holds everything that decides the outcome."""
        self._file = file
        self._recipe = recipe

    def fresh(self) -> bool:
        """Whether it was made to its end by this recipe."""
        return self._file.is_file() and self._file.read_text() == self._recipe

    def clear(self) -> None:
        """Say that it is being made: a run that is interrupted leaves nothing that looks done."""
        self._file.unlink(missing_ok=True)

    def set(self) -> None:
        """Say that it is made."""
        self._file.write_text(self._recipe)
