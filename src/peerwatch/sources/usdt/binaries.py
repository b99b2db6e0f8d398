"""The executables that are traced: attached before anybody runs them, and again when they are replaced.

Probes belong to a file, not to a path or a process. When a path leads to another file, that one is attached as well, and the old
one stays attached as long as a process runs it. When a file is overwritten in place, its probes point into other code: they go
first, and what can be attached again is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from peerwatch.schema.batch import SECOND
from peerwatch.sources.usdt.binary import Binary
from peerwatch.sources.usdt.kernel import Kernel, KernelError
from peerwatch.sources.usdt.processes import FileId, ProcessFacts, file_id, shown

RETRY = 30 * SECOND
"""After a failure: permissions may have been mended without a trace in the file."""

MAX_PATHS = 256
"""Paths that are watched; executables at others are attached when a process runs them."""

NO_PROBES = "it has no tracepoints of Bitcoin Core: use a build with USDT (cmake -DWITH_USDT=ON)"


@dataclass(slots=True, eq=False)
class Traced:
    """An executable that is attached."""

    path: str
    """Where it is or was, as processes name it."""
    file: FileId
    binary: Binary
    began: int
    """UTC ns before it was attached: nothing was seen of it earlier."""
    since: int
    """UTC ns after it was attached: processes that start later are seen from their first probe."""


@dataclass(slots=True)
class _Path:
    """A path that is watched, what it led to when last looked at, and when an attempt to attach that failed."""

    file: FileId | None = None
    failed: int | None = None


class Binaries:
    """What is attached. `trouble(path, reason, first)` is told of what cannot be seen, since when (UTC ns)."""

    def __init__(self, kernel: Kernel, utc: Callable[[], int], trouble: Callable[[str, str, int], None]) -> None:
        """Nothing is attached yet."""
        self._kernel = kernel
        self._utc = utc
        self._trouble = trouble
        self._paths: dict[str, _Path] = {}
        self._told: dict[str, str] = {}
        self.traced: list[Traced] = []

    def watch(self, path: str) -> None:
        """Attach what is at a path, now or when it comes, and what replaces it."""
        if path not in self._paths:
            self._paths[path] = _Path()
            self._look(path, self._paths[path])

    def check(self, running: Iterable[Traced]) -> None:
        """Look at all watched paths again, and let go of replaced files that no process runs any more."""
        for path, state in self._paths.items():
            self._look(path, state)
        used = {traced.file.place for traced in running}
        used.update(state.file.place for state in self._paths.values() if state.file)
        for traced in [t for t in self.traced if t.file.place not in used]:
            self._detach(traced)

    def run_by(self, facts: ProcessFacts, path: str) -> Traced | None:
        """The executable of a process that was found; it is attached if need be, by a path that leads to it, and from then on
        watched where that is not a way through /proc. None when that fails; then it has been told.
        """
        known = self.of(facts)
        if path == facts.binary and len(self._paths) < MAX_PATHS:
            self.watch(path)
            return known or self.of(facts)
        return known or self._attach(path, facts.binary or path)

    def _attach(self, path: str, name: str) -> Traced | None:
        """Attach the file at `path`, unless it is; `name` is what to call it."""
        file = file_id(path)
        known = self._same(file)
        if file is None or known is not None:
            return known
        began = self._utc()
        try:
            binary = self._kernel.attach(path)
        except KernelError as error:
            self._tell(name, str(error), began)
            return None
        if not binary.sites:
            self._kernel.detach(binary)
            self._tell(name, f"cannot trace {shown(name)}: {NO_PROBES}", began)
            return None
        self._told.pop(name, None)
        traced = Traced(name, FileId(binary.device, binary.inode, file.size, file.modified_ns), binary, began, self._utc())
        self.traced.append(traced)
        return traced

    def of(self, facts: ProcessFacts) -> Traced | None:
        """Which of the traced executables a process runs; where the file is closed to us, by its name."""
        if same := self._same(facts.file):
            return same
        if facts.file is not None and facts.certain:
            return None
        base = os.path.basename(facts.binary or (facts.args[0] if facts.args else ""))  # noqa: PTH119 - not UTF-8
        named = [traced for traced in self.traced if os.path.basename(traced.path) == base]  # noqa: PTH119 - not UTF-8
        if not named and len(self.traced) > 1:
            return None
        return next(iter(named or self.traced), None)

    def _tell(self, name: str, why: str, first: int) -> None:
        """Once, not with every attempt."""
        if self._told.get(name) != why:
            self._told[name] = why
            self._trouble(name, why, first)

    def _same(self, file: FileId | None) -> Traced | None:
        return next((traced for traced in self.traced if file and traced.file.place == file.place), None)

    def _look(self, path: str, state: _Path) -> None:
        now = file_id(path)
        if now == state.file and (state.failed is None or self._utc() - state.failed < RETRY):
            return
        overwritten = self._same(now)
        if overwritten is not None and now is not None and overwritten.file != now:
            gone = self._utc()
            self._detach(overwritten)
            self._trouble(path, f"{shown(path)} was overwritten in place; its probes were taken off and put on again", gone)
        state.file, state.failed = now, None
        if now is not None and self._attach(path, path) is None:
            state.failed = self._utc()

    def _detach(self, traced: Traced) -> None:
        self._kernel.detach(traced.binary)
        self.traced.remove(traced)
