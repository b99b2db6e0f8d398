"""`peerwatch simulate`: scenarios of simulated traffic, with the truth about them."""

# ruff: noqa: PLC0415 - imported when the command runs, so that its help comes at once

from __future__ import annotations

import inspect
import json
import math
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from peerwatch.cli import options
from peerwatch.cli.main import fail

START = datetime(2026, 1, 1, tzinfo=UTC)
"""When simulations begin unless told otherwise; fixed, so that the same command gives the same bytes."""


POSITIVE = click.FloatRange(min=0, min_open=True, max=1e6)


@click.command("simulate")
@click.argument("scenario", required=False)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False, allow_dash=True),
    help="Folder to write into; - for the play file alone, to stdout.",
)
@click.option("--seed", default=1, show_default=True, help="Another seed, another day.")
@click.option("--hours", type=POSITIVE, default=1.0, show_default=True, help="How long.")
@click.option("--load", type=POSITIVE, default=1.0, show_default=True, help="How busy, against a usual node.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="An option of the scenario; may be repeated.")
@options.as_json
def command(  # noqa: PLR0913 - options
    *, scenario: str | None, out: Path | None, seed: int, hours: float, load: float, settings: tuple[str, ...], as_json: bool
) -> None:
    """Write SCENARIO into a folder: a play file and labels. Without SCENARIO, list all.

    \b
    Example: peerwatch simulate addr-flood-2021 --out /tmp/flood --seed 7 --set peers=3
    """
    from peerwatch.schema.batch import SECOND
    from peerwatch.sources.simulation.folder import FolderError, stream_play, write_simulation
    from peerwatch.sources.simulation.simulation import Plan, Simulation

    if scenario is None:
        _list(as_json=as_json)
        return
    if out is None:
        raise click.UsageError("say where to with --out FOLDER")
    start = int(START.timestamp()) * SECOND
    try:
        plan = Plan(scenario, seed, start, int(hours * 3600 * SECOND), load, dict(_setting(s) for s in settings))
        if str(out) == "-":
            for block in stream_play(Simulation(plan)):
                sys.stdout.buffer.write(block)
            return
        with click.progressbar(length=1000, label=scenario, file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
            truth = write_simulation(plan, out, progress=lambda done: bar.update(int(done * 1000) - bar.pos))
    except (FolderError, ValueError) as error:
        raise fail(str(error)) from error
    if as_json:
        click.echo(json.dumps({"folder": str(out), "attacks": truth.attacks}))
        return
    click.echo(f"{hours:g} h of {scenario} in {out}; attacks: {len(truth.attacks)}")


def _setting(text: str) -> tuple[str, float]:
    name, equals, value = text.partition("=")
    try:
        number = float(value if equals else "")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise click.BadParameter(f"{text!r} is not NAME=NUMBER", param_hint="--set")
    return name, number


def _list(*, as_json: bool) -> None:
    from peerwatch.sources.simulation.scenarios.catalogue import all_scenarios

    for name, scenario in all_scenarios().items():
        if as_json:
            known = [{"name": n, "default": o.default, "unit": o.unit, "doc": o.doc} for n, o in scenario.options.items()]
            click.echo(json.dumps({"scenario": name, "title": scenario.title, "options": known}))
            continue
        click.echo(f"{name}: {scenario.title}")
        for option, declared in scenario.options.items():
            click.echo(f"    {option} = {declared.default:g} {declared.unit}: {declared.doc}")
        if not scenario.options:
            click.echo(f"    {(inspect.getdoc(scenario) or '').splitlines()[0]}")
