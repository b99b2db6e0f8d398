"""`peerwatch rpc-user`: a user of the node's RPC interface that may only look."""

# ruff: noqa: PLC0415 - imported when the command runs, so that its help comes at once

from __future__ import annotations

from pathlib import Path

import click

from peerwatch.cli.main import fail


@click.command("rpc-user")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="New file for the password; give it to the watcher's user afterwards.",
)
@click.option("--name", default="peerwatch", show_default=True, help="Name of the user.")
def command(*, out: Path, name: str) -> None:
    """Make a password, and print the lines for bitcoin.conf that let its user call what peerwatch calls, and nothing else.

    The password itself stands in the file only, which nobody but its owner can read.

    \b
    Example: peerwatch rpc-user --out /etc/peerwatch/alpha.password
    """
    from peerwatch.sources.rpc.user import conf_lines, new_password, write_password

    try:
        password = new_password()
        lines = conf_lines(name, password)
        write_password(out, password)
    except (ValueError, OSError) as error:
        text = f"cannot write {out}: {str(error.strerror).lower()}" if isinstance(error, OSError) else str(error)
        raise fail(text) from error
    click.echo("\n".join(lines))
    click.echo(
        f"\nPut these lines into the node's bitcoin.conf and restart it; then, for peerwatch:\n"
        f'  rpc_user = "{name}"\n  rpc_password_file = "{out.absolute()}"',
        err=True,
    )
