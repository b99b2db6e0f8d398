"""Templates that are declared, and what is told of them: every module of `templates` has a list `TEMPLATES`."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from peerwatch.sources.debuglog import templates
from peerwatch.sources.debuglog.template import Matcher, Template


@cache
def all_templates() -> tuple[Template, ...]:
    """Every template, area by area in alphabetical order."""
    found: list[Template] = []
    for info in pkgutil.iter_modules(templates.__path__):
        found += importlib.import_module(f"{templates.__name__}.{info.name}").TEMPLATES
    return tuple(found)


@cache
def matcher() -> Matcher:
    """All of them, compiled."""
    return Matcher(all_templates())
