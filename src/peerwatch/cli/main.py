"""The `peerwatch` command. Each verb is a module beside this one, imported only when it is used: `--help` stays fast."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys

import click

import peerwatch
from peerwatch import cli

NOT_VERBS = ("main", "options")
"""Modules of the package that are not verbs."""

FAILED = 1
"""Exit status when something was found wrong or could not be done; 2 is for wrong usage (click's own)."""


class Verbs(click.Group):
    """Finds verbs as modules."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all verbs."""
        del ctx
        return sorted(m.name.replace("_", "-") for m in pkgutil.iter_modules(cli.__path__) if m.name not in NOT_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb of that name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command = importlib.import_module(f"{cli.__name__}.{cmd_name.replace('-', '_')}").command
        assert isinstance(command, click.Command)  # noqa: S101 - a verb's module without its command is a bug of ours
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List verbs with their first line, without importing any of them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(SUMMARIES.items()))


SUMMARIES = {
    "run": "Watch the nodes of this machine, record and alert.",
    "demo": "Trace a stand-in for a node, attack it, and see the alert.",
    "doctor": "Say what works here, what does not, and what to do about it.",
    "replay": "Feed a capture, an archive or a simulation through the detectors.",
    "simulate": "Write a scenario of simulated traffic, with labels.",
    "messages": "Show messages, dissected, from history or live.",
    "sql": "Ask the archive.",
    "tables": "Explain the tables.",
    "detectors": "Explain the detectors.",
    "alerts": "List incidents.",
    "rpc-user": "Make a user of a node's RPC interface that may only look.",
    "tracer": "The privileged half alone, for running it as a unit of its own.",
    "watcher": "The unprivileged half alone.",
}
"""What `--help` says of each verb; a test compares it with the modules."""


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(peerwatch.__version__, prog_name="peerwatch")
def root() -> None:
    """Watch Bitcoin nodes from inside for P2P attacks and anomalies.

    \b
    Examples:
      peerwatch doctor
      peerwatch demo --for 60
      peerwatch run
    """


def main() -> None:
    """Run the command line; an error of the user's making is one line, never a traceback.

    Click ends quietly when nobody reads what is printed any more, with status 1.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy comes in: nothing here multiplies matrices
    try:
        root(prog_name="peerwatch")
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what could not be printed is not tried again at exit
        click.echo(f"Error: {error}", err=True)
        sys.exit(FAILED)


def fail(message: str) -> click.ClickException:
    """An error to raise: one line on stderr, exit status 1."""
    return click.ClickException(message)
