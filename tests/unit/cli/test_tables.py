"""`peerwatch tables`."""

from __future__ import annotations

import json

from peerwatch.schema.registry import all_tables
from peerwatch.schema.tables.message import Message
from tests.unit.cli.conftest import Command


def test_all_tables(peerwatch: Command) -> None:
    """One line each, with its first sentence."""
    shown = peerwatch("tables").out.splitlines()
    assert [line.split()[0] for line in shown] == list(all_tables())
    assert all(line.endswith(".") for line in shown)


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
