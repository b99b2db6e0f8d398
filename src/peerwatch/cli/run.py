"""`peerwatch run`: watch the nodes of this machine."""

# ruff: noqa: PLC0415 - imported when the command runs, so that its help comes at once

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from peerwatch.cli import options
from peerwatch.cli.main import fail

if TYPE_CHECKING:
    from peerwatch.app.config import Config
    from peerwatch.app.live import Task

VIEW_S = 10.0


@click.command("run")
@options.config
@click.option(
    "--archive", type=click.Path(path_type=Path, file_okay=False), help=f"Where to record.  [default: {options.DEFAULT_ARCHIVE}]"
)
@options.nodes
@click.option("--for", "seconds", type=click.FloatRange(min=1), help="Stop after so many seconds.")
@click.option("--quiet", is_flag=True, help="Print incidents only.")
def command(*, config: Path | None, archive: Path | None, nodes: tuple[str, ...], seconds: float | None, quiet: bool) -> None:
    """Trace the nodes of this machine, ask them, read their logs, record it all, and alert.

    Without a configuration every node of this machine is watched. Its messages are seen through its tracepoints, which takes
    root, or CAP_BPF and CAP_PERFMON (kernel 6.6 or newer), or by a capture, which takes neither. How it stands is asked by RPC
    and read in its `debug.log`, as far as the watcher's user may. `peerwatch doctor` says what is missing.

    \b
    Examples:
      peerwatch run
      peerwatch run --node datadir=/srv/alpha,name=alpha
      peerwatch run --config /etc/peerwatch.toml --archive /srv/peerwatch
    """
    from peerwatch.app.config import ConfigError, load, with_nodes
    from peerwatch.app.live import Task
    from peerwatch.app.outlet import Outlet
    from peerwatch.app.view import RateLine
    from peerwatch.sinks.terminal import Terminal
    from peerwatch.sources.usdt.kernel import KernelError
    from peerwatch.sources.usdt.privileges import PrivilegeError
    from peerwatch.store.errors import ArchiveError

    try:
        settings = with_nodes(load(config), nodes)
        out = Outlet(sys.stdout)
        view = None if quiet else RateLine(out, VIEW_S)
        task = Task(settings, archive or Path(settings.archive), [Terminal(out)], view, seconds, outlet=out)
        sys.exit(_run(settings, task))
    except (ArchiveError, ConfigError, KernelError, PrivilegeError) as error:
        raise fail(str(error)) from error


def _run(settings: Config, task: Task) -> int:
    from peerwatch.app.live import trace, watch
    from peerwatch.app.nodes import seen_otherwise, wanted
    from peerwatch.sources.usdt.kernel import Kernel, KernelError

    nodes = wanted(settings.node)
    if settings.node and not nodes:
        return watch(task, None)
    try:
        kernel = Kernel.load(ring_bytes=settings.ring_mib << 20)
    except KernelError as error:
        if not seen_otherwise(settings):
            raise
        click.echo(f"Cannot trace: {error}\nWhat needs no tracing is watched.", err=True)
        return watch(task, None)
    return trace(task, kernel, nodes)
