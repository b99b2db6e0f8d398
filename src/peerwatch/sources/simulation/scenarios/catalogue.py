"""Scenarios by name: every module beside this one declares exactly one, apart from this and those with an underscore."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from functools import cache

from peerwatch.sources.simulation import scenarios
from peerwatch.sources.simulation.scenarios._api import Scenario

_NO_SCENARIO = "catalogue"


@cache
def all_scenarios() -> dict[str, type[Scenario]]:
    """Every scenario by name, in alphabetical order.

    Raises:
        TypeError: a module that does not declare exactly one.
    """
    found: dict[str, type[Scenario]] = {}
    for info in pkgutil.iter_modules(scenarios.__path__):
        if info.name.startswith("_") or info.name == _NO_SCENARIO:
            continue
        module = importlib.import_module(f"{scenarios.__name__}.{info.name}")
        declared = [
            v
            for v in vars(module).values()
            if isinstance(v, type) and issubclass(v, Scenario) and v.__module__ == module.__name__
        ]
        if len(declared) != 1:
            raise TypeError(f"scenarios/{info.name}.py must declare one scenario, not {declared}")
        found[declared[0].name] = declared[0]
    return found


def scenario_named(name: str) -> type[Scenario]:
    """The scenario of that name.

    Raises:
        ValueError: there is none; the message names those that are meant, or all.
    """
    known = all_scenarios()
    if name not in known:
        near = difflib.get_close_matches(name, known)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
        raise ValueError(f"there is no scenario {name!r}; {hint}")
    return known[name]
