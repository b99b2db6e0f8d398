"""`peerwatch tables`."""

from __future__ import annotations

import json
from pathlib import Path

from peerwatch.schema.registry import all_tables
from peerwatch.schema.tables.message import Message
from tests.unit.cli.conftest import Command

CAPTURE = Path(__file__).parents[2] / "data/captures/ping-node0"


def test_all_tables(peerwatch: Command) -> None:
    """One line each, with its first sentence, and the level where it is not the usual one."""
    shown = peerwatch("tables").out.splitlines()
    assert [line.split()[0] for line in shown] == list(all_tables())
    assert all(line.endswith((".", ". [every level]", ". [full only]")) for line in shown)
    assert next(line for line in shown if line.startswith("payload ")).endswith("[full only]")


def test_one_table(peerwatch: Command) -> None:
    """All its columns, with type, meaning and marks."""
    shown = peerwatch("tables", "message").out
    assert shown.startswith(f"message: {Message.doc}\n\n")
    body = [line for line in shown.splitlines() if line.startswith("  ")]
    assert [line.split()[0] for line in body] == list(Message.columns)
    assert any(line.endswith("Payload bytes on the wire. (B)") for line in body)
    assert any(line.endswith("null when well formed. (nullable)") for line in body)
    assert any(line.endswith("(untrusted)") for line in body)


def test_json(peerwatch: Command) -> None:
    """The whole declaration, one table a line, or only the one that is named."""
    rows = [json.loads(line) for line in peerwatch("tables", "--json").out.splitlines()]
    assert [row["table"] for row in rows] == list(all_tables())
    (ping,) = [json.loads(line) for line in peerwatch("tables", "ping", "--json").out.splitlines()]
    assert ping in rows
    assert {"name", "type", "semantic", "unit", "nullable", "untrusted", "doc"} == ping["columns"][0].keys()


def test_what_an_archive_holds(peerwatch: Command, tmp_path: Path) -> None:
    """Rows and times of every table, or of one, as text and as JSON; no archive is one line and a failure."""
    assert peerwatch("replay", CAPTURE, "--archive", tmp_path / "a", "--quiet").status == 0
    shown = peerwatch("tables", "--archive", tmp_path / "a").out.splitlines()
    assert [line.split()[0] for line in shown] == list(all_tables())
    (ping,) = [json.loads(line) for line in peerwatch("tables", "ping", "--archive", tmp_path / "a", "--json").out.splitlines()]
    assert ping.keys() == {"table", "rows", "first_ts", "last_ts", "removed"}
    assert f"{ping['rows']} rows" in next(line for line in shown if line.startswith("ping "))
    failed = peerwatch("tables", "--archive", tmp_path)
    assert (failed.status, failed.out) == (1, "")
