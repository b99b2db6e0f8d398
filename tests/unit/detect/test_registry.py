"""Discovery of detectors."""

from __future__ import annotations

import types

import pytest

from peerwatch.detect import detectors, registry
from peerwatch.detect._api import Detector


def test_every_module_is_found_under_its_name():
    """The registry is complete: one detector for each file, named like it."""
    found = registry.all_detectors()
    assert list(found) == ["addr_flood", "addr_flood_distributed", "blindness"]
    assert all(cls.name == name and issubclass(cls, Detector) for name, cls in found.items())


def test_module_without_its_detector_is_an_error(monkeypatch):
    """A module that declares no detector, or one of another name, is a mistake that must show."""
    monkeypatch.setattr(registry.pkgutil, "iter_modules", lambda _: [types.SimpleNamespace(name="blindness")])
    monkeypatch.setattr(registry.importlib, "import_module", lambda _: types.ModuleType("empty"))
    registry.all_detectors.cache_clear()
    try:
        with pytest.raises(TypeError, match=r"blindness\.py must declare one detector"):
            registry.all_detectors()
    finally:
        registry.all_detectors.cache_clear()
    assert detectors.__path__
