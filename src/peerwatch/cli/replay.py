"""`peerwatch replay`: history through the detectors."""

# ruff: noqa: PLC0415 - imported when the command runs, so that its help comes at once

from __future__ import annotations

import math
import sys
from pathlib import Path

import click

from peerwatch.cli import options
from peerwatch.cli.main import fail

VIEW_S = 2.0
"""A replay that takes longer than this says how far it is."""


class Speed(click.ParamType[float | None]):
    """A positive number, or `max`."""

    name = "N|max"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        """`max` is None."""
        if value is None or value == "max":
            return None
        try:
            number = float(str(value))
        except ValueError:
            number = 0.0
        if not 0 < number < math.inf:
            self.fail(f"{value!r} is neither a positive number nor max", param, ctx)
        return number


@click.command("replay")
@click.argument("source", type=click.Path(path_type=Path))
@options.archive
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Configuration file (TOML), of which `record` and `[detect]` apply here.",
)
@click.option("--speed", type=Speed(), default="max", show_default=True, help="Seconds of history a second, or max.")
@click.option("--node", default="replay", show_default=True, help="Name for the node of a capture, which has none.")
@click.option("--quiet", is_flag=True, help="Print nothing but the number of rows.")
def command(*, source: Path, archive: Path, config: Path | None, speed: float | None, node: str, quiet: bool) -> None:  # noqa: PLR0913
    """Feed SOURCE through the detectors, and record it and what they find.

    SOURCE is a message_capture folder (or one that holds it), an archive, or a simulation.

    \b
    Examples:
      peerwatch replay ~/.bitcoin/message_capture --archive /tmp/history
      peerwatch replay /var/lib/peerwatch --archive /tmp/again
    """
    from peerwatch.app.config import ConfigError, load
    from peerwatch.app.outlet import Outlet
    from peerwatch.app.replay import Replay, replay, unseen
    from peerwatch.app.view import RateLine
    from peerwatch.sinks.terminal import Terminal
    from peerwatch.sources.capture import CaptureError
    from peerwatch.sources.simulation.folder import FolderError
    from peerwatch.store.errors import ArchiveError

    try:
        settings = load(config)
        task = Replay(source, archive, speed, node, settings.detect, settings.record)
        for detector, missing in unseen(source).items():
            click.echo(f"{detector} cannot see {', '.join(missing)}, which {source} does not have", err=True)
        out = Outlet(sys.stdout, lossless=True)
        rows, lost = replay(task, [] if quiet else [Terminal(out)], None if quiet else RateLine(sys.stderr, VIEW_S))
        out.close()
    except (ArchiveError, CaptureError, ConfigError, FolderError) as error:
        raise fail(str(error)) from error
    if lost:
        raise fail(
            f"{lost} events could not be recorded in {archive}; see table loss for why, make room, and replay into a new archive"
        )
    click.echo(f"{rows} rows recorded in {archive}")
