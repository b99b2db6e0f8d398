"""Detectors by name: every module of `detect/detectors` declares exactly one."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from peerwatch.detect import detectors
from peerwatch.detect._api import Detector


@cache
def all_detectors() -> dict[str, type[Detector]]:
    """Every detector, by name, in alphabetical order.

    Raises:
        TypeError: a module under `detect/detectors` that does not declare exactly one detector.
    """
    found: dict[str, type[Detector]] = {}
    for info in pkgutil.iter_modules(detectors.__path__):
        module = importlib.import_module(f"{detectors.__name__}.{info.name}")
        declared = [
            v
            for v in vars(module).values()
            if isinstance(v, type) and issubclass(v, Detector) and v.__module__ == module.__name__
        ]
        if len(declared) != 1:
            raise TypeError(f"detect/detectors/{info.name}.py must declare one detector, not {len(declared)}")
        found[info.name] = declared[0]
    return found
