"""`peerwatch tables`: the tables and their columns, and what an archive holds of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from peerwatch.cli import options
from peerwatch.cli.main import fail
from peerwatch.schema import docs
from peerwatch.schema.registry import all_tables
from peerwatch.schema.table import Level


@click.command("tables")
@click.argument("name", required=False)
@click.option("--archive", type=click.Path(path_type=Path, file_okay=False), help="Say what this archive holds instead.")
@options.as_json
def command(name: str | None, *, archive: Path | None, as_json: bool) -> None:
    """Explain the tables, or all columns of the table NAME.

    \b
    Examples:
      peerwatch tables message
      peerwatch tables --archive /var/lib/peerwatch
    """
    tables = all_tables()
    if name is not None and name not in tables:
        raise fail(f"there is no table {name}; there are {', '.join(tables)}")
    chosen = list(tables) if name is None else [name]
    if archive is not None:
        _show_contents(archive, chosen, as_json=as_json)
    elif as_json:
        for each in chosen:
            click.echo(json.dumps(docs.facts(tables[each])))
    elif name is None:
        width = max(map(len, tables))
        for table in tables.values():
            level = {Level.LIGHT: "every level", Level.FULL: "full only"}.get(table.level)
            click.echo(f"{table.name:<{width}}  {table.doc.splitlines()[0]}{f' [{level}]' if level else ''}")
    else:
        _show_columns(docs.facts(tables[name]))


def _show_columns(facts: dict[str, Any]) -> None:
    click.echo(f"{facts['table']}: {facts['doc']}\n")
    columns = facts["columns"]
    name_width = max(len(c["name"]) for c in columns)
    type_width = max(len(c["type"]) for c in columns)
    for c in columns:
        marks = [c["unit"]] if c["unit"] else []
        marks += [m for m in ("nullable", "untrusted") if c[m]]
        note = f" ({', '.join(marks)})" if marks else ""
        click.echo(f"  {c['name']:<{name_width}}  {c['type']:<{type_width}}  {c['doc']}{note}")


def _show_contents(archive: Path, chosen: list[str], *, as_json: bool) -> None:
    from peerwatch.app.contents import contents  # noqa: PLC0415 - heavy, and only this needs it
    from peerwatch.store.errors import ArchiveError, QueryError  # noqa: PLC0415

    try:
        found = [held for held in contents(archive) if held.table in chosen]
    except (ArchiveError, QueryError) as error:
        raise fail(str(error)) from error
    width = max(len(held.table) for held in found)
    for held in found:
        if as_json:
            facts = {
                "table": held.table,
                "rows": held.rows,
                "first_ts": held.first,
                "last_ts": held.last,
                "removed": held.removed,
            }
            click.echo(json.dumps(facts))
            continue
        span = f"  {_utc(held.first)} to {_utc(held.last)}" if held.first is not None and held.last is not None else ""
        removed = f"  removed up to {held.removed}" if held.removed else ""
        click.echo(f"{held.table:<{width}}  {held.rows:>14,} rows{span}{removed}")


def _utc(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // 1_000_000_000, UTC):%Y-%m-%d %H:%M:%S}"
