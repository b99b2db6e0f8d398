"""`peerwatch demo`: see it work."""

# ruff: noqa: PLC0415 - imported when the command runs, so that its help comes at once

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click

from peerwatch.cli.main import fail

VIEW_S = 2.0


@click.command("demo")
@click.option(
    "--for",
    "seconds",
    type=click.FloatRange(min=20),
    help="End after so many seconds, at least 20 to see the end of an attack; else with Ctrl-C.",
)
@click.option("--archive", type=click.Path(path_type=Path, file_okay=False), help="Where to record; a new folder by default.")
@click.option("--scenario", default="addr-flood-2021", show_default=True, help="What happens (see peerwatch simulate).")
@click.option("--seed", default=1, show_default=True, help="Another seed, another day.")
def command(*, seconds: float | None, archive: Path | None, scenario: str, seed: int) -> None:
    """Trace a stand-in for a node with the real kernel, attack it, and see the alert.

    \b
    Example: peerwatch demo --for 60
    """
    from peerwatch.app.demo import Demo, config, hold_s, show
    from peerwatch.app.live import Task
    from peerwatch.app.outlet import Outlet
    from peerwatch.app.view import RateLine
    from peerwatch.sinks.terminal import Terminal
    from peerwatch.sources.simulation.folder import FolderError
    from peerwatch.sources.usdt.privileges import PrivilegeError
    from peerwatch.store.errors import ArchiveError

    folder = archive or Path(tempfile.mkdtemp(prefix="peerwatch-"))
    out = Outlet(sys.stdout)
    task = Task(config(), folder, [Terminal(out)], RateLine(out, VIEW_S), seconds, hold_s(seconds), out, looks=False)
    try:
        status = show(Demo(scenario, seconds, seed, task, _say))
    except (ArchiveError, FolderError, PrivilegeError, ValueError) as error:
        raise fail(str(error)) from error
    _say(f"Recorded in {folder}. Look at it with:")
    _say(f"  peerwatch alerts --archive {folder}")
    _say(f'  peerwatch sql --archive {folder} "FROM rate SELECT type, sum(messages) WHERE width = 1 GROUP BY ALL"')
    sys.exit(status)


def _say(text: str) -> None:
    click.echo(text)
    sys.stdout.flush()  # before the watcher is forked, or it would be said twice
