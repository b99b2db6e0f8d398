"""`peerwatch alerts`: incidents, newest last."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from peerwatch.alerts.incident import NEWEST_FIRST
from peerwatch.cli import options
from peerwatch.cli.main import fail
from peerwatch.detect.visible import visible
from peerwatch.schema.batch import SECOND
from peerwatch.store.errors import ArchiveError, QueryError
from peerwatch.store.query import Query

COLUMNS = (
    "incident, identifier, kind, severity, state, first_ts, last_ts, node, subject_kind, subject, peers, findings, "
    "score, completeness, explanation, query"
)
NEWEST = f"""
SELECT {COLUMNS} FROM incident
QUALIFY row_number() OVER (PARTITION BY node, incident ORDER BY {NEWEST_FIRST}) = 1
ORDER BY first_ts, incident
"""  # noqa: S608 - no value goes into it
"""The present state of every incident: its newest row."""


@click.command("alerts")
@options.archive
@click.option("--open", "only_open", is_flag=True, help="Only incidents that are not resolved.")
@options.as_json
def command(archive: Path, *, only_open: bool, as_json: bool) -> None:
    """List incidents: what happened, who, since when, and how sure it is.

    \b
    Example: peerwatch alerts --open
    """
    try:
        rows = Query(archive).table(NEWEST).to_pylist()
    except (ArchiveError, QueryError) as error:
        raise fail(str(error)) from error
    chosen = [row for row in rows if not (only_open and row["state"] == "resolved")]
    for row in chosen:
        row["peers"] = json.loads(row["peers"])
        click.echo(json.dumps(row) if as_json else _text(row))
    if not as_json and not chosen:
        click.echo("no open incident" if only_open else "no incident")


def _text(row: dict[str, Any]) -> str:
    first, last = (_utc(row[name]) for name in ("first_ts", "last_ts"))
    head = (
        f"{first} to {last} UTC  {row['severity']}  {row['state']}  {row['kind']}  node {row['node']}, incident {row['incident']}"
    )
    # Escaped where it was made; an archive may have come from elsewhere.
    return "\n".join(visible(line) for line in (head, row["explanation"].rstrip(), f"  rows: {row['query']}")) + "\n"


def _utc(ns: int) -> str:
    return datetime.fromtimestamp(ns // SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S")
