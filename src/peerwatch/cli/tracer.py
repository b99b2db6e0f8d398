"""`peerwatch tracer`: the privileged half alone."""

# ruff: noqa: PLC0415 - imported when the command runs, so that its help comes at once

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click

from peerwatch.cli import options
from peerwatch.cli.main import fail


@click.command("tracer")
@options.config
@click.option("--socket", type=click.Path(path_type=Path), required=True, help="Where the watcher connects; made anew.")
@click.option("--group", help="Group whose members may connect.")
def command(*, config: Path | None, socket: Path, group: str | None) -> None:
    """Trace, and hand descriptors to a watcher that runs on its own: two units with different rights instead of one command.

    \b
    Example: peerwatch tracer --socket /run/peerwatch/tracer.sock --group peerwatch
    """
    from peerwatch.app.config import ConfigError, load
    from peerwatch.app.nodes import wanted
    from peerwatch.sources.usdt.kernel import Kernel, KernelError
    from peerwatch.sources.usdt.link import LinkError
    from peerwatch.sources.usdt.privileges import PrivilegeError, group_id
    from peerwatch.sources.usdt.supervise import serve
    from peerwatch.sources.usdt.tracer import Tracer

    try:
        settings = load(config)
        kernel = Kernel.load(ring_bytes=settings.ring_mib << 20)
        tracer = Tracer(kernel, wanted(settings.node), partial(print, flush=True))
        sys.exit(serve(tracer, socket, group_id(group) if group else None))
    except (ConfigError, KernelError, LinkError, PrivilegeError) as error:
        raise fail(str(error)) from error
