"""Tables by name: every module of `schema/tables` declares exactly one."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from peerwatch.schema import tables
from peerwatch.schema.table import Table


@cache
def all_tables() -> dict[str, type[Table]]:
    """Every table, by name, in alphabetical order.

    Raises:
        TypeError: a module under `schema/tables` that does not declare exactly the table it is named for.
    """
    found: dict[str, type[Table]] = {}
    for info in pkgutil.iter_modules(tables.__path__):
        module = importlib.import_module(f"{tables.__name__}.{info.name}")
        declared = [
            v for v in vars(module).values() if isinstance(v, type) and issubclass(v, Table) and v.__module__ == module.__name__
        ]
        if [t.name for t in declared] != [info.name]:
            raise TypeError(f"schema/tables/{info.name}.py must declare one table of that name, not {declared}")
        found[info.name] = declared[0]
    return found
