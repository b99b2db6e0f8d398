"""Readers, and the calls that they want: every module of `readers` declares exactly one."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache
from typing import Any

from peerwatch.schema.table import Table
from peerwatch.sources.rpc import readers
from peerwatch.sources.rpc._api import Known, Reader, Request

UPTIME = Request("uptime", 10.0)
"""Asked to see whether the node was started again; it takes no lock."""


@dataclass(frozen=True, slots=True)
class Method:
    """A call that is made, for documentation and for the operator who has to allow it."""

    method: str
    every_s: float
    """Seconds from one call to the next, unless configured otherwise."""
    since: int
    """First version of Bitcoin Core that has it, 0 for all from 22 on."""
    tables: tuple[str, ...]
    """Tables that its answers fill, some of them together with those of other calls."""


@cache
def reader_classes() -> dict[str, Any]:
    """Every reader's class, by the name of its module, in alphabetical order. `requests` and `tables` are the class's own.

    Raises:
        TypeError: a module that does not declare exactly one.
    """
    found: dict[str, Any] = {}
    for info in pkgutil.iter_modules(readers.__path__):
        module = importlib.import_module(f"{readers.__name__}.{info.name}")
        own = [each for each in vars(module).values() if isinstance(each, type) and each.__module__ == module.__name__]
        declared = [each for each in own if hasattr(each, "requests")]
        if len(declared) != 1:
            raise TypeError(f"sources/rpc/readers/{info.name}.py must declare one reader, not {declared}")
        found[info.name] = declared[0]
    return found


def make_readers(known: Known) -> list[Reader]:
    """All readers, anew."""
    return [make(known) for make in reader_classes().values()]


def tables() -> list[type[Table]]:
    """Every table that a reader fills, in alphabetical order."""
    found = {table.name: table for each in reader_classes().values() for table in each.tables}
    return [found[name] for name in sorted(found)]


def methods() -> list[Method]:
    """Every call that is made, in alphabetical order: what an operator's `rpcwhitelist=` needs."""
    wanted: dict[str, list[Request]] = {UPTIME.method: [UPTIME]}
    filled: dict[str, set[str]] = {UPTIME.method: set()}
    for each in reader_classes().values():
        for request in each.requests:
            wanted.setdefault(request.method, []).append(request)
            filled.setdefault(request.method, set()).update(table.name for table in each.tables)
    return [
        Method(name, min(each.every_s for each in of), max(each.since for each in of), tuple(sorted(filled[name])))
        for name, of in sorted(wanted.items())
    ]
