"""Scenarios by name."""

from __future__ import annotations

import pkgutil

import pytest

from peerwatch.sources.simulation import scenarios
from peerwatch.sources.simulation.scenarios.catalogue import all_scenarios, scenario_named


def test_every_module_is_one_scenario() -> None:
    """Names are those of the modules with dashes; each has a title, a docstring, and options that are explained."""
    modules = {m.name.replace("_", "-") for m in pkgutil.iter_modules(scenarios.__path__) if not m.name.startswith("_")}

    assert set(all_scenarios()) == modules - {"catalogue"}
    assert {"quiet", "addr-flood-2021"} <= set(all_scenarios())
    for name, scenario in all_scenarios().items():
        assert scenario.name == name
        assert scenario.title
        assert scenario.__doc__
        assert all(o.unit and o.basis and o.doc.endswith(".") for o in scenario.options.values())


def test_names_are_found_or_guessed() -> None:
    """A wrong name is answered with the nearest, or with all of them."""
    assert scenario_named("quiet") is all_scenarios()["quiet"]
    with pytest.raises(ValueError, match="there is no scenario 'addr-flod-2021'; did you mean addr-flood-2021"):
        scenario_named("addr-flod-2021")
    with pytest.raises(ValueError, match="there are addr-flood-2021, quiet"):
        scenario_named("zzz")
