"""Dissectors by message type: every module of `wire/messages` declares exactly one."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

from peerwatch.wire import messages
from peerwatch.wire.dissector import Dissector
from peerwatch.wire.raw import KNOWN_TYPES


@cache
def all_dissectors() -> tuple[Dissector, ...]:
    """One of every dissector, in alphabetical order of their modules.

    Raises:
        TypeError: a module under `wire/messages` that does not declare exactly one dissector.
    """
    found = []
    for info in pkgutil.iter_modules(messages.__path__):
        module = importlib.import_module(f"{messages.__name__}.{info.name}")
        declared = [
            v
            for v in vars(module).values()
            if isinstance(v, type) and issubclass(v, Dissector) and v.__module__ == module.__name__
        ]
        if len(declared) != 1:
            raise TypeError(f"wire/messages/{info.name}.py must declare one dissector, not {declared}")
        found.append(declared[0]())
    return tuple(found)


@cache
def dissector_of_type() -> Mapping[str, Dissector]:
    """The dissector of each message type that has one.

    Raises:
        TypeError: two dissectors for one type, or a type that is not in KNOWN_TYPES.
    """
    found: dict[str, Dissector] = {}
    for dissector in all_dissectors():
        for name in dissector.types:
            if name in found or name not in KNOWN_TYPES:
                raise TypeError(f"{type(dissector).__name__}: type {name} is unknown, or another dissector's")
            found[name] = dissector
    return found


def needs_of_type(*, sent: bool = False) -> dict[str, int]:
    """Payload bytes that a source must keep of each message type, so that everything in it can be dissected; no others.

    With `sent`, those of messages that the node sent itself.
    """
    found = {}
    for name, dissector in dissector_of_type().items():
        fewer = dissector.needs_sent if sent else None
        found[name] = dissector.needs if fewer is None else fewer
    return found
