"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

_Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

DEFAULT_ARCHIVE = Path("/var/lib/peerwatch")
"""Where history is recorded; the same as DEFAULT_ARCHIVE of `app.config`, which takes long to import."""

archive: _Decorator = click.option(
    "--archive",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_ARCHIVE,
    show_default=True,
    help="Folder of the recorded history.",
)

as_json: _Decorator = click.option("--json", "as_json", is_flag=True, help="One JSON object a line instead of text.")

config: _Decorator = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="Configuration file (TOML); without one, the nodes of this machine are found by their probes.",
)

nodes: _Decorator = click.option(
    "--node",
    "nodes",
    multiple=True,
    metavar="KEY=VALUE,…",
    help="A node, by the keys of [[node]]: datadir=/srv/a, or rpc=8332, and so on. Repeat it for more of them.",
)
