"""`peerwatch detectors`."""

from __future__ import annotations

import json

import pytest

from peerwatch.cli.detectors import facts
from peerwatch.detect.registry import all_detectors
from tests.unit.cli.conftest import Command


def test_all_detectors(peerwatch: Command) -> None:
    """One line each, with what it recognizes and the rows of the catalogue."""
    shown = peerwatch("detectors").out.splitlines()
    for line, (name, detector) in zip(shown, all_detectors().items(), strict=True):
        assert line.split()[0] == name
        assert line.endswith(f"{detector.title} ({', '.join(detector.catalogue)})")


@pytest.mark.parametrize("name", all_detectors())
def test_one_detector(peerwatch: Command, name: str) -> None:
    """Everything that it declares: findings with advice, options with unit and basis, tables, references."""
    detector = all_detectors()[name]
    shown = peerwatch("detectors", name).out
    for kind in detector.kinds:
        assert f"  {kind.name} ({kind.severity.value}): {kind.meaning} {kind.normal}\n    {kind.advice}\n" in shown
    for option, declared in detector.options.items():
        assert f"  {option} = {declared.default:g} {declared.unit}: {declared.doc} Basis: {declared.basis}\n" in shown
    for table, columns in detector.reads.items():
        assert f"  {table.name}: {', '.join(columns)}\n" in shown
    for reference in detector.references:
        assert reference in shown
    assert f"[detect.{name}]" in shown


def test_json(peerwatch: Command) -> None:
    """The same as values, one detector a line."""
    rows = [json.loads(line) for line in peerwatch("detectors", "--json").out.splitlines()]
    assert rows == [facts(detector) for detector in all_detectors().values()]
    name = rows[0]["detector"]
    assert [json.loads(line) for line in peerwatch("detectors", name, "--json").out.splitlines()] == rows[:1]
