"""Lines of `debug.log` in a minute, by template."""

from __future__ import annotations

from typing import Annotated

from peerwatch.schema import columns as c
from peerwatch.schema.table import Level, Table


class LogCount(Table):
    """Lines of `debug.log` in a minute, by template; those that no template fits by a learned one."""

    level = Level.LIGHT
    is_state = True

    event: Annotated[str | None, c.label("Event of the template; null for a learned one.", nullable=True)]
    category: Annotated[str, c.label("Category of the log, or none.")]
    template: Annotated[
        str, c.text("The template, its variable parts as `<*>`; printable ASCII, at most 160 bytes.", untrusted=True)
    ]
    lines: Annotated[int, c.count("Lines.")]
    bytes: Annotated[int, c.octets("Their size.")]
