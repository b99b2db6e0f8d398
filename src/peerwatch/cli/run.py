"""`peerwatch run`: watch the nodes of this machine."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from peerwatch.app.config import DEFAULT_ARCHIVE, Config, ConfigError, load
from peerwatch.app.live import Task, trace, wanted, watch
from peerwatch.app.outlet import Outlet
from peerwatch.app.view import RateLine
from peerwatch.cli import options
from peerwatch.cli.main import fail
from peerwatch.sinks.terminal import Terminal
from peerwatch.sources.usdt.kernel import Kernel, KernelError
from peerwatch.sources.usdt.privileges import PrivilegeError
from peerwatch.store.errors import ArchiveError

VIEW_S = 10.0


@click.command("run")
@options.config
@click.option(
    "--archive", type=click.Path(path_type=Path, file_okay=False), help=f"Where to record.  [default: {DEFAULT_ARCHIVE}]"
)
@click.option("--for", "seconds", type=click.FloatRange(min=1), help="Stop after so many seconds.")
@click.option("--quiet", is_flag=True, help="Print incidents only.")
def command(*, config: Path | None, archive: Path | None, seconds: float | None, quiet: bool) -> None:
    """Trace the nodes of this machine, record what they say, and alert.

    Without a configuration every process that has Bitcoin Core's tracepoints is a node. Needs root, or CAP_BPF and CAP_PERFMON
    (kernel 6.6 or newer); `peerwatch doctor` says what is missing. Nodes with a `capture` need no rights.

    \b
    Examples:
      peerwatch run
      peerwatch run --config /etc/peerwatch.toml --archive /srv/peerwatch
    """
    try:
        settings = load(config)
        out = Outlet(sys.stdout)
        view = None if quiet else RateLine(out, VIEW_S)
        task = Task(settings, archive or Path(settings.archive), [Terminal(out)], view, seconds, outlet=out)
        sys.exit(_run(settings, task))
    except (ArchiveError, ConfigError, KernelError, PrivilegeError) as error:
        raise fail(str(error)) from error


def _run(settings: Config, task: Task) -> int:
    captures = [n.name for n in settings.node if n.capture]
    nodes = wanted(settings.node)
    if captures and not nodes:
        return watch(task, None)
    try:
        kernel = Kernel.load(ring_bytes=settings.ring_mib << 20)
    except KernelError as error:
        if not captures:
            raise
        click.echo(f"Cannot trace: {error}\nOnly the captures of {', '.join(captures)} are watched.", err=True)
        return watch(task, None)
    return trace(task, kernel, nodes)
