"""Watching for real: the tracer and the watcher put together from the configuration."""

from __future__ import annotations

import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from peerwatch.app.config import Config
from peerwatch.app.nodes import Nodes
from peerwatch.app.outlet import Outlet
from peerwatch.app.pipeline import Settings
from peerwatch.app.preload import preload
from peerwatch.app.watch import Observer, Watch
from peerwatch.app.ways import Ways
from peerwatch.peers.origins import Origins
from peerwatch.schema.table import Level
from peerwatch.sinks._api import Sink
from peerwatch.sources._api import Source
from peerwatch.sources.capture import CaptureError, capture_root
from peerwatch.sources.intelligence import Intelligence, IntelligenceError
from peerwatch.sources.several import Several
from peerwatch.sources.usdt.discover import Wanted
from peerwatch.sources.usdt.kernel import Kernel
from peerwatch.sources.usdt.link import Link
from peerwatch.sources.usdt.privileges import Account, hand_over, watcher_account
from peerwatch.sources.usdt.slots import CaptureLimits
from peerwatch.sources.usdt.source import UsdtSource
from peerwatch.sources.usdt.supervise import supervise
from peerwatch.sources.usdt.tracer import Tracer
from peerwatch.store.archive import Archive
from peerwatch.store.errors import ArchiveError
from peerwatch.store.retention import Retention
from peerwatch.wire.registry import needs_of_type

HEAD_BYTES = 256
"""Kept of messages that no dissector reads: enough to see what they are."""

GIB = 1 << 30

LEAST_BYTES = 32
"""Kept of every message: so much is shown of one that is wrong, however short it should have been."""


def say_at_once(line: str) -> None:
    """Print a line and leave nothing in a buffer."""
    print(line, flush=True)  # noqa: T201 - the tracer has no other way to say it


@dataclass(frozen=True, slots=True)
class Task:
    """What a watcher is to do."""

    config: Config
    archive: Path
    sinks: Sequence[Sink] = ()
    observer: Observer | None = None
    seconds: float | None = None
    """Stop by itself after so long; None to go on."""
    hold_s: float | None = None
    outlet: Outlet | None = None
    """What sinks and observer write to; waited for at the end."""
    looks: bool = True
    """Whether nodes are looked at beside their tracepoints, too."""
    say: Callable[[str], None] = say_at_once
    """Told what the tracer does; must not leave anything in a buffer, because the watcher is forked."""


def capture_limits(config: Config) -> CaptureLimits:
    """Bytes kept of messages: what their dissectors need, the head of all others, the configuration over both."""
    given = dict(config.capture_limits)
    default = given.pop("default", HEAD_BYTES)
    by_type = {name: max(needs, LEAST_BYTES) for name, needs in needs_of_type().items()}
    sent = {name: max(needs, LEAST_BYTES) for name, needs in needs_of_type(sent=True).items() if name not in given}
    return CaptureLimits({**by_type, **given}, default, sent)


def retention(config: Config) -> Retention:
    """How long the archive keeps what is recorded."""
    given = config.retention
    return Retention(given.days, given.rollup_days, None if given.gib is None else int(given.gib * GIB))


def trace(task: Task, kernel: Kernel, nodes: Sequence[Wanted]) -> int:
    """Trace and watch until stopped. Returns the exit status.

    Raises:
        PrivilegeError: there is no account for the watcher, or the archive cannot be handed over to it.
    """
    account = watcher_account(task.config.user, task.archive, os.environ)
    hand_over(task.archive, account)
    preload()
    before = Path.cwd()
    task = within_reach(task, account)
    try:
        return supervise(lambda link: watch(task, link), Tracer(kernel, nodes, task.say), account)
    finally:
        os.chdir(before)


def within_reach(task: Task, account: Account | None) -> Task:
    """The task with a way to its archive that the watcher's user can go.

    A folder below one that is closed to others (the home of root, a temporary folder) cannot be entered by its owner, either.
    The working directory is inherited with its rights, so the archive becomes that, and its path leads through /proc.
    """
    if account is None or _can_write(account, task.archive):
        return task
    os.chdir(task.archive)
    return replace(task, archive=Path("/proc/self/cwd"))


def _can_write(account: Account, folder: Path) -> bool:
    """Whether a user can write into a folder by its path; asked as that user, in a process of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child uses nothing that another thread could hold locked
        child = os.fork()
    if child == 0:
        allowed = False
        try:
            os.setgroups(account.groups)
            os.setgid(account.gid)
            os.setuid(account.uid)
            allowed = os.access(folder, os.W_OK | os.X_OK)
        finally:
            os._exit(0 if allowed else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def watch(task: Task, link: Link | None) -> int:
    """Everything behind the tracer: runs without privileges. `link` is None when nothing is traced."""
    try:
        given = task.config.origins
        intelligence = Intelligence(given.asmap, given.mmdb, given.lists)
    except IntelligenceError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201 - the watcher's only way to say it
        return 1
    for remark in intelligence.remarks:
        print(remark, file=sys.stderr)  # noqa: T201 - as above

    def sources(loop: Watch) -> list[Source]:
        for node in task.config.node:
            if node.capture not in (None, "off"):
                capture_root(Path(node.capture or ""))  # what is named must be there; what is found may come later
        archive, position = loop.recorder.archive, loop.recorder.position
        found: list[Source] = []
        traced = None
        if link is not None:
            usdt = UsdtSource(link, archive.node_name, position, capture_limits(task.config))
            traced = usdt.node_of
            found.append(usdt)
        if task.looks:
            nodes = Nodes(task.config, archive.node_name, traced)
            found.append(Several(Ways(task.config, nodes, archive, position, intelligence)))
        return found

    return watch_sources(task, sources, intelligence.origins)


def watch_sources(task: Task, sources: Callable[[Watch], Sequence[Source]], origins: Origins | None = None) -> int:
    """Run the loop over some sources until they end or it is told to stop; `origins` is what is known about addresses.

    Returns the exit status; what cannot be used (archive, capture, tracer) is one line on stderr and status 1.
    """
    stopped = _stopper(task.seconds)
    try:
        with Archive.create_or_open(task.archive, level=task.config.record, retention=retention(task.config)) as archive:
            settings = Settings(
                archive.inventory_key,
                time.time_ns(),
                task.config.detect,
                task.hold_s,
                time.monotonic_ns,
                bodies=task.config.record is Level.FULL,
                origins=origins or Origins(),
            )
            loop = Watch(archive, settings, task.sinks, task.observer)
            loop.run(sources(loop), stopped)
    except (ArchiveError, CaptureError, TimeoutError) as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201 - the watcher's only way to say it
        return 1
    finally:
        if task.outlet:
            task.outlet.close()
    return 0


def _stopper(seconds: float | None) -> Callable[[], bool]:
    """True once a signal to stop has come, or the time is over."""
    told = False

    def stop(_signal: int, _frame: object) -> None:
        nonlocal told
        told = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    end = None if seconds is None else time.monotonic() + seconds
    return lambda: told or (end is not None and time.monotonic() >= end)
