"""`peerwatch detectors`: what is recognized, how, and what can be set."""

from __future__ import annotations

import inspect
import json
from typing import Any

import click

from peerwatch.cli import options
from peerwatch.cli.main import fail
from peerwatch.detect._api import Detector
from peerwatch.detect.registry import all_detectors


@click.command("detectors")
@click.argument("name", required=False)
@options.as_json
def command(name: str | None, *, as_json: bool) -> None:
    """Explain the detectors, or all about the detector NAME.

    \b
    Example: peerwatch detectors addr_flood
    """
    known = all_detectors()
    if name is not None and name not in known:
        raise fail(f"there is no detector {name}; there are {', '.join(known)}")
    chosen = known if name is None else {name: known[name]}
    if as_json:
        for detector in chosen.values():
            click.echo(json.dumps(facts(detector)))
    elif name is None:
        width = max(map(len, known))
        for found, detector in known.items():
            click.echo(f"{found:<{width}}  {detector.title} ({', '.join(detector.catalogue)})")
    else:
        _print(facts(known[name]))


def facts(detector: type[Detector]) -> dict[str, Any]:
    """All that a detector declares, as JSON-able values."""
    return {
        "detector": detector.name,
        "title": detector.title,
        "catalogue": list(detector.catalogue),
        "doc": inspect.getdoc(inspect.getmodule(detector)) or "",
        "reads": {table.name: list(columns) for table, columns in detector.reads.items()},
        "kinds": [
            {
                "name": k.name,
                "severity": k.severity.value,
                "meaning": k.meaning,
                "unit": k.unit,
                "normal": k.normal,
                "advice": k.advice,
            }
            for k in detector.kinds
        ],
        "options": [
            {"name": n, "default": o.default, "unit": o.unit, "doc": o.doc, "basis": o.basis} for n, o in detector.options.items()
        ],
        "references": list(detector.references),
    }


def _print(known: dict[str, Any]) -> None:
    click.echo(f"{known['detector']}: {known['title']} ({', '.join(known['catalogue'])})\n\n{known['doc']}\n")
    click.echo("Findings")
    for kind in known["kinds"]:
        click.echo(f"  {kind['name']} ({kind['severity']}): {kind['meaning']} {kind['normal']}\n    {kind['advice']}")
    click.echo("\nOptions ([detect." + known["detector"] + "] in the configuration)")
    for option in known["options"]:
        click.echo(f"  {option['name']} = {option['default']:g} {option['unit']}: {option['doc']} Basis: {option['basis']}")
    click.echo("\nReads")
    for table, columns in known["reads"].items():
        click.echo(f"  {table}: {', '.join(columns)}")
    click.echo("\nReferences")
    for reference in known["references"]:
        click.echo(f"  {reference}")
