"""States of an incident and the table that they are stored in."""

from __future__ import annotations

from dataclasses import fields

from peerwatch.alerts.incident import Incident
from peerwatch.schema.tables.incident import Incident as IncidentTable


def test_fields_are_the_columns_of_the_table():
    """An incident and its row name the same things, identity apart."""
    assert {field.name for field in fields(Incident)} == set(IncidentTable.columns) - {"node", "session", "source", "seq"}
