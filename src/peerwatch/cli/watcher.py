"""`peerwatch watcher`: the unprivileged half alone."""

# ruff: noqa: PLC0415 - imported when the command runs, so that its help comes at once

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from peerwatch.cli import options
from peerwatch.cli.main import fail

VIEW_S = 60.0


@click.command("watcher")
@options.config
@click.option("--socket", type=click.Path(path_type=Path), required=True, help="Where the tracer listens.")
@click.option("--archive", type=click.Path(path_type=Path, file_okay=False), help="Where to record.")
def command(*, config: Path | None, socket: Path, archive: Path | None) -> None:
    """Watch what a tracer that runs on its own traces: record, detect, alert, without any rights.

    \b
    Example: peerwatch watcher --socket /run/peerwatch/tracer.sock
    """
    from peerwatch.app import live
    from peerwatch.app.config import ConfigError, load
    from peerwatch.app.outlet import Outlet
    from peerwatch.app.preload import preload
    from peerwatch.app.view import RateLine
    from peerwatch.sinks.terminal import Terminal
    from peerwatch.sources.usdt.link import LinkError
    from peerwatch.sources.usdt.privileges import PrivilegeError, hand_over, watcher_account
    from peerwatch.sources.usdt.supervise import watch

    try:
        settings = load(config)
        folder = archive or Path(settings.archive)
        account = watcher_account(settings.user, folder, os.environ)
        hand_over(folder, account)
        preload()
        out = Outlet(sys.stdout)
        task = live.Task(settings, folder, [Terminal(out)], RateLine(out, VIEW_S), outlet=out)
        sys.exit(watch(lambda link: live.watch(task, link), socket, account))
    except (ConfigError, LinkError, PrivilegeError) as error:
        raise fail(str(error)) from error
