"""`peerwatch tables`: the tables and their columns."""

from __future__ import annotations

import json

import click

from peerwatch.cli import options
from peerwatch.cli.main import fail
from peerwatch.schema import docs
from peerwatch.schema.registry import all_tables
from peerwatch.schema.table import Level


@click.command("tables")
@click.argument("name", required=False)
@options.as_json
def command(name: str | None, *, as_json: bool) -> None:
    """Explain the tables, or all columns of the table NAME.

    \b
    Example: peerwatch tables message
    """
    tables = all_tables()
    if name is not None and name not in tables:
        raise fail(f"there is no table {name}; there are {', '.join(tables)}")
    chosen = tables.values() if name is None else [tables[name]]
    if as_json:
        for table in chosen:
            click.echo(json.dumps(docs.facts(table)))
        return
    if name is None:
        width = max(map(len, tables))
        for table in chosen:
            level = "" if table.level is Level.STANDARD else f" [{'every level' if table.level is Level.LIGHT else table.level}]"
            click.echo(f"{table.name:<{width}}  {table.doc.splitlines()[0]}{level}")
        return
    _print_columns(docs.facts(tables[name]))


def _print_columns(facts: dict[str, object]) -> None:
    click.echo(f"{facts['table']}: {facts['doc']}\n")
    columns = facts["columns"]
    assert isinstance(columns, list)  # noqa: S101 - narrows the type
    name_width = max(len(c["name"]) for c in columns)
    type_width = max(len(c["type"]) for c in columns)
    for c in columns:
        marks = [c["unit"]] if c["unit"] else []
        marks += [m for m in ("nullable", "untrusted") if c[m]]
        note = f" ({', '.join(marks)})" if marks else ""
        click.echo(f"  {c['name']:<{name_width}}  {c['type']:<{type_width}}  {c['doc']}{note}")
