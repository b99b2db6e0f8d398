"""Options that verbs share."""

from __future__ import annotations

from pathlib import Path

import click
from click.testing import CliRunner

from peerwatch.app.config import DEFAULT_ARCHIVE
from peerwatch.cli import options


@click.command()
@options.archive
@options.as_json
@options.config
def command(**given: object) -> None:
    """Show what is given."""
    click.echo(repr(sorted(given.items())))


def test_defaults() -> None:
    """The archive is where the configuration has it, no configuration is read, and text is printed."""
    shown = CliRunner().invoke(command, []).output
    assert shown == f"{sorted({'archive': DEFAULT_ARCHIVE, 'as_json': False, 'config': None}.items())!r}\n"


def test_given(tmp_path: Path) -> None:
    """Paths arrive as paths; a file is no archive, and a folder is no configuration."""
    file = tmp_path / "file"
    file.write_text("")
    shown = CliRunner().invoke(command, ["--archive", str(tmp_path), "--json", "--config", str(file)]).output
    assert shown == f"{sorted({'archive': tmp_path, 'as_json': True, 'config': file}.items())!r}\n"
    assert CliRunner().invoke(command, ["--archive", str(file)]).exit_code == 2
    assert CliRunner().invoke(command, ["--config", str(tmp_path)]).exit_code == 2
