"""`peerwatch doctor`: what works here, what does not, and what to do about it."""

# ruff: noqa: PLC0415 - imported when the command runs, so that its help comes at once

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import click

from peerwatch.cli import options
from peerwatch.cli.main import FAILED, fail


@click.command("doctor")
@options.config
@options.nodes
@options.as_json
def command(*, config: Path | None, nodes: tuple[str, ...], as_json: bool) -> None:
    """Look at kernel, rights, libbpf, and the nodes of this machine; say what to do where something is missing.

    Of a node it says which probes it has, what else the watcher's user can see of it, and what asking it costs the node.

    Exit status 1 when something is missing without which nothing can be traced.

    \b
    Example: peerwatch doctor --config /etc/peerwatch.toml
    """
    from peerwatch.app.config import ConfigError, load, with_nodes
    from peerwatch.app.examine import examine, watchers
    from peerwatch.app.nodes import wanted
    from peerwatch.sources.usdt.diagnose import State, diagnose
    from peerwatch.sources.usdt.privileges import PrivilegeError, watcher_account

    marks = {State.OK: ("ok", "green"), State.WARNING: ("note", "yellow"), State.FAILED: ("no", "red")}
    try:
        settings = with_nodes(load(config), nodes)
        account = watcher_account(settings.user, Path(settings.archive), os.environ)
    except (ConfigError, PrivilegeError) as error:
        raise fail(str(error)) from error
    facts = [*diagnose(wanted(settings.node), account, settings.ring_mib << 20), *examine(settings, account), *watchers()]
    for fact in facts:
        if as_json:
            click.echo(json.dumps(asdict(fact)))
            continue
        mark, colour = marks[fact.state]
        click.echo(f"{click.style(f'{mark:>4}', fg=colour)}  {fact.name}: {fact.found}")
        if fact.advice:
            click.echo(f"      {fact.advice}")
    sys.exit(FAILED if any(f.state is State.FAILED for f in facts) else 0)
